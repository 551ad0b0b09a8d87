//go:build linux

package guest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// Options say what guests boot.
type Options struct {
	// KernelDir is where scripts/guest-kernel unpacked a kernel. Optional:
	// DefaultDir.
	KernelDir string
	// Program is run as the guest's first service with the argument
	// protocol.Argument, and calls pid1.Main then. Optional: the program that is
	// running.
	Program string
	// Exports are trees of the host that guests mount, besides those that any
	// guest needs. Optional.
	Exports []Export
}

// An Export is a tree of the host that guests mount over virtio-9p. A guest may keep what it
// has read of one for as long as it runs, unless it may write: what is there stays as it is
// meanwhile, and what is new has a name that no guest has looked for.
type Export struct {
	Tag  string // of the 9p device, at most 31 characters
	Path string // on the host
	// Mount is where guests see it. Empty for those that boot.sh mounts.
	Mount string
	// Writable lets guests write to it, as root.
	Writable bool
}

// An Image is what guests boot. Any number may boot one.
type Image struct {
	Kernel  Kernel
	Vmlinuz string // path
	Initrd  string // path
	Exports []Export
}

// Prepare makes what guests boot in dir, with absolute paths. What is there
// already and made of the same parts is used again. It takes 0.5 s, or 0.1 s.
func Prepare(ctx context.Context, dir string, opts Options) (*Image, error) {
	image, err := prepare(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("prepare guests' image: %w", err)
	}
	return image, nil
}

func prepare(ctx context.Context, dir string, opts Options) (*Image, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	k, err := FindKernel(opts.KernelDir)
	if err != nil {
		return nil, err
	}
	if opts.Program == "" {
		opts.Program = "/proc/self/exe"
	}
	program, err := os.ReadFile(opts.Program)
	if err != nil {
		return nil, err
	}
	busybox, err := readBusybox()
	if err != nil {
		return nil, err
	}
	data, err := archive(ctx, k, busybox, program)
	if err != nil {
		return nil, err
	}
	kernel, err := os.ReadFile(k.Image())
	if err != nil {
		return nil, err
	}
	image := &Image{
		Kernel: k,
		Exports: append([]Export{
			{Tag: "usr", Path: "/usr"},
			{Tag: "modules", Path: k.Modules()},
		}, opts.Exports...),
	}
	if image.Vmlinuz, err = keep(dir, "vmlinuz", kernel); err != nil {
		return nil, err
	}
	if image.Initrd, err = keep(dir, "initrd", data); err != nil {
		return nil, err
	}
	return image, nil
}

// keep writes data to a file in dir that is named after it, unless it is there.
func keep(dir, name string, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	path := filepath.Join(dir, fmt.Sprintf("%s-%x", name, sum[:8]))
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(data)) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file, err := os.CreateTemp(dir, name+".*.new")
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		if gone := os.Remove(file.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return "", err
	}
	return path, nil
}

// Cmdline is the kernel's command line for one guest of the image.
func (i *Image) Cmdline(b protocol.Boot) (string, error) {
	for _, e := range i.Exports {
		if e.Mount != "" {
			b.Mounts = append(b.Mounts, protocol.Mount{Tag: e.Tag, Path: e.Mount, Writable: e.Writable})
		}
	}
	return b.Cmdline()
}
