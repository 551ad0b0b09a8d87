//go:build linux && !weak

package labtest

// tags are those with which programs are built.
const tags = ""
