//go:build linux && weak

package vf

const (
	oneAtATime = false
	oneOwner   = false
)
