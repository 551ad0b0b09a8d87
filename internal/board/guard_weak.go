//go:build weak

package board

const fenced = false
