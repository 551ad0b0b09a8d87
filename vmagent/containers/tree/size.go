//go:build linux

package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Size is how many bytes the files below a directory take, about as many as Pack
// sends: holes do not count, and a file with several names counts once.
func Size(ctx context.Context, dir string) (bytes int64, err error) {
	linked := map[uint64]struct{}{}
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, is := info.Sys().(*syscall.Stat_t)
		if !is {
			return nil
		}
		if st.Nlink > 1 {
			if _, met := linked[st.Ino]; met {
				return nil
			}
			linked[st.Ino] = struct{}{}
		}
		bytes += min(st.Size, st.Blocks*512)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return bytes, nil
}

// Clear removes all that is in a directory.
func Clear(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("clear %s: %w", dir, err)
	}
	defer root.Close()
	d, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("clear %s: %w", dir, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("clear %s: %w", dir, err)
	}
	for _, name := range names {
		if err := root.RemoveAll(name); err != nil {
			return fmt.Errorf("clear %s: %w", dir, err)
		}
	}
	return nil
}
