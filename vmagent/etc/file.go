//go:build linux

package etc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSize is the largest file that is read or written, in bytes. Docker's has
// some hundred; a container can make it any size.
const maxSize = 64 << 10

// rewrite edits a file in place, on the inode that it has, if the edit changes
// anything.
func rewrite(path string, edit func(string) string) (changed bool, err error) {
	if !filepath.IsAbs(path) {
		return false, fmt.Errorf("write %q: want an absolute path", path)
	}
	// Without O_NONBLOCK a lease (F_SETLEASE) or a pipe would hold us up.
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, fmt.Errorf("write %s: a process in the container holds it by a lease; it is tried again: %w", path, err)
	case errors.Is(err, syscall.ELOOP):
		return false, fmt.Errorf("write %s: it is a symbolic link, which Docker would not make: %w", path, err)
	case err != nil:
		return false, fmt.Errorf("write: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("write: %w", closeErr)
		}
	}()
	was, err := read(file)
	if err != nil {
		return false, fmt.Errorf("write %s: %w", path, err)
	}
	is := edit(was)
	switch {
	case is == was:
		return false, nil
	case len(is) > maxSize:
		return false, fmt.Errorf("write %s: it would have %d bytes, more than %d", path, len(is), maxSize)
	}
	// One write, with what the file is longer in blank lines: whoever reads
	// between it and the truncation, or finds it after a crash, reads no
	// remains of the old text.
	padded := is + strings.Repeat("\n", max(0, len(was)-len(is)))
	if _, err := file.WriteAt([]byte(padded), 0); err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	if err := file.Truncate(int64(len(is))); err != nil {
		return true, fmt.Errorf("write: %w", err)
	}
	return true, nil
}

// read returns the text of a plain file that is not too large.
func read(file *os.File) (string, error) {
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("it is no plain file (%s): %w", info.Mode().Type(), fs.ErrInvalid)
	}
	// Not by its size alone: it may grow meanwhile.
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return "", err
	}
	if info.Size() > maxSize || len(text) > maxSize {
		return "", fmt.Errorf("it has more than %d bytes, which the container must have written: %w", maxSize, fs.ErrInvalid)
	}
	return string(text), nil
}
