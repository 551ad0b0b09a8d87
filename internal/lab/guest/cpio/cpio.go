// Package cpio writes archives of the newc kind, which Linux unpacks at boot.
package cpio

import (
	"fmt"
	"io"
	"path"
)

// The kinds of files that a header's mode tells.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
	modeChar = 0o020000
)

const trailer = "TRAILER!!!"

// A Writer writes one archive. After an error it writes no more, and Close
// returns the error.
type Writer struct {
	w     io.Writer
	inode int
	made  map[string]bool
	err   error
}

// NewWriter returns a writer of an archive to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, made: map[string]bool{}} }

// Dir adds a folder, and those above it that were not added yet.
func (w *Writer) Dir(name string) {
	name = path.Clean(name)
	if name == "." || name == "/" || w.made[name] {
		return
	}
	w.Dir(path.Dir(name))
	w.made[name] = true
	w.entry(name, modeDir|0o755, 0, 0, nil)
}

// File adds a file, and the folders above it.
func (w *Writer) File(name string, permissions uint32, data []byte) {
	w.Dir(path.Dir(name))
	w.entry(name, modeFile|permissions&0o7777, 0, 0, data)
}

// Link adds a symbolic link, and the folders above it.
func (w *Writer) Link(name, target string) {
	w.Dir(path.Dir(name))
	w.entry(name, modeLink|0o777, 0, 0, []byte(target))
}

// Device adds a character device, and the folders above it.
func (w *Writer) Device(name string, major, minor uint32) {
	w.Dir(path.Dir(name))
	w.entry(name, modeChar|0o600, major, minor, nil)
}

// Close writes the end of the archive, and returns the first error of all.
func (w *Writer) Close() error {
	w.entry(trailer, 0, 0, 0, nil)
	if w.err != nil {
		return fmt.Errorf("write archive: %w", w.err)
	}
	return nil
}

// entry writes a header of 110 bytes, the name with a zero, and the data, the
// last two filled up to a multiple of four.
func (w *Writer) entry(name string, mode, major, minor uint32, data []byte) {
	if w.err != nil {
		return
	}
	w.inode++
	if int64(len(data)) > 1<<32-1 {
		w.err = fmt.Errorf("%s is too large", name)
		return
	}
	_, w.err = fmt.Fprintf(w.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00%s",
		w.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0,
		name, pad(110+len(name)+1))
	if w.err == nil {
		_, w.err = w.w.Write(data)
	}
	if w.err == nil {
		_, w.err = io.WriteString(w.w, pad(len(data)))
	}
}

func pad(n int) string { return "\x00\x00\x00"[:(4-n%4)%4] }
