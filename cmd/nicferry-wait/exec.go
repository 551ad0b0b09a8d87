//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// defaultPath is Docker's, for an image that sets none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func searchPath() string {
	if path, ok := os.LookupEnv("PATH"); ok {
		return path
	}
	return defaultPath
}

// find looks a command up as execvp(3) does. The error is fs.ErrNotExist if
// there is none, and another if what is there cannot be executed. It is asked
// before the waiting, so that a slip of the pen is told at once.
func find(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", fmt.Errorf("command %q: %w", name, err)
		}
		return name, nil
	}
	failure := fs.ErrNotExist
	if name != "" {
		for _, dir := range filepath.SplitList(path) {
			file := dir + "/" + name
			if dir == "" {
				file = "./" + name
			}
			err := executable(file)
			if err == nil {
				return file, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				failure = err
			}
		}
	}
	return "", fmt.Errorf("command %q in PATH %q: %w", name, path, failure)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return fs.ErrNotExist
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a directory")
	case info.Mode()&0o111 == 0:
		return errors.New("is not executable")
	}
	return nil
}

// execute becomes the command, with our environment. It returns only if that
// does not work.
func execute(path string, command []string) error {
	err := syscall.Exec(path, command, os.Environ())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("execute %s: the program, or the interpreter that it asks for, does not exist: %w", path, err)
	}
	return fmt.Errorf("execute %s: %w", path, err)
}
