//go:build linux

// Package sysfile reads and writes the small files by which a kernel tells of a
// machine's hardware.
package sysfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxText bounds what is read of one file, in bytes; all that matters is a word or a
// line.
const maxText = 4096

// A Root is the directory above sys and proc. Names that a path is made of come from
// the kernel's own directories, or have been checked.
type Root string

// Path is a file's place.
func (r Root) Path(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// Word is a file's text without space around it.
func (r Root) Word(elem ...string) (string, error) {
	f, err := os.Open(r.Path(elem...))
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	return strings.TrimSpace(string(text)), err
}

// Target is the last element of what a link points to; empty without one.
func (r Root) Target(elem ...string) string {
	to, err := os.Readlink(r.Path(elem...))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// Exists says whether there is such a file, directory or link.
func (r Root) Exists(elem ...string) bool {
	_, err := os.Lstat(r.Path(elem...))
	return err == nil
}

// Inode is the number of a file or directory, by which it can be told from a later one
// of its name: sysfs numbers no two the same. 0 without one.
func (r Root) Inode(elem ...string) uint64 {
	info, err := os.Stat(r.Path(elem...))
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ino
}

// Write hands a file that is there its text in one piece, as the kernel takes it.
func Write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
