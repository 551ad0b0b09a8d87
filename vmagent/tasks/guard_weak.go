//go:build linux && weak

package tasks

const askFirst = false
