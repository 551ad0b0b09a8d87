//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// durable returns once what the engine has written is on its disk. Docker leaves
// most to the kernel, which takes its time: a machine that loses its power
// meanwhile would come back with the restart policy that a container had before its
// move, and start it beside the one elsewhere; or with one that was removed; or
// without what was copied to it, which is nowhere else once the move is done.
func (e *Engine) durable(ctx context.Context) error {
	info, err := e.docker.client.Info(ctx)
	if err != nil {
		return e.docker.wrap("ask Docker where it keeps its data", err)
	}
	done := make(chan error, 1)
	go func() { done <- flush(info.DockerRootDir) }() // the kernel does not let itself be hurried
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %s does not take what was written: %w", ErrAgain, info.DockerRootDir, context.Cause(ctx))
	}
}

// flush writes out the file systems below the engine's directory: people give some
// folders there one of their own.
func flush(dir string) error {
	for _, below := range []string{"", "containers", "image", "overlay2", "volumes"} {
		f, err := os.Open(filepath.Join(dir, below))
		if errors.Is(err, fs.ErrNotExist) && below != "" {
			continue
		}
		if err != nil { // it is out of this process's sight, as in a container
			unix.Sync()
			return nil
		}
		err = errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
		if err != nil {
			return fmt.Errorf("write out %s: %w", f.Name(), err)
		}
	}
	return nil
}
