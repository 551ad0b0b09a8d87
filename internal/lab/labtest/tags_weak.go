//go:build linux && weak

package labtest

const tags = "weak"
