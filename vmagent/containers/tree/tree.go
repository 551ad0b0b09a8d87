//go:build linux

// Package tree packs a directory into a stream and unpacks it elsewhere, with
// owners, modes, times, attributes, hard links and holes, and follows no link and
// never leaves its root.
package tree

import (
	"errors"
	"strings"
)

// The kinds of error, found with errors.Is.
var (
	// ErrRefused: there is something that is not carried, such as a device.
	ErrRefused = errors.New("not carried to another node")
	// ErrBroken: the stream has ended early, or Pack has not written it.
	ErrBroken = errors.New("broken stream")
)

// Options say what kind of directory it is.
type Options struct {
	// Note is what the stream begins with, for who unpacks it. Optional, to Pack.
	Note string
	// Overlay: it is the upper directory of an overlay file system, whose marks
	// for what is deleted count. It must not be mounted when it is unpacked.
	// Optional.
	Overlay bool
}

// A stream is a tar with records of our own. Entries come as a walk meets them,
// so that the directory of each is the one last opened: no path is looked up. The
// last one counts them, as a tar that ends early between two looks whole.
const (
	recordNote    = "NICFERRY.note"
	recordEnd     = "NICFERRY.end"
	recordSize    = "NICFERRY.size"    // of a file with holes
	recordExtents = "NICFERRY.extents" // its data: OFFSET+LENGTH,…
	recordXattr   = "SCHILY.xattr."
)

// maxDepth bounds the directories in one another; one file is open for each.
const maxDepth = 500

const overlayPrefix, overlayOpaque = "trusted.overlay.", "trusted.overlay.opaque"

// carried says whether an extended attribute goes along. Those of the machine's
// own policy, such as security.selinux, do not.
func (o Options) carried(name string) bool {
	switch name {
	case "security.capability", "system.posix_acl_access", "system.posix_acl_default":
		return true
	case overlayOpaque:
		return o.Overlay
	}
	return strings.HasPrefix(name, "user.")
}
