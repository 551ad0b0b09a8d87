//go:build linux

package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Pack writes what is in a directory, and the directory's own attributes, to w.
// Sockets are left out. Devices and what is mounted below are ErrRefused.
func Pack(ctx context.Context, dir string, w io.Writer, opts Options) error {
	root, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("pack directory: %w", err)
	}
	defer root.Close()
	st, err := stat(root)
	if err != nil {
		return fmt.Errorf("pack directory: %w", err)
	}
	p := &packer{ctx: ctx, opts: opts, tar: tar.NewWriter(w), dev: st.Dev, links: map[uint64]string{}}
	if err := p.mark(recordNote, opts.Note); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if err := p.dir(root, ".", 0); err != nil {
		return err
	}
	if err := p.mark(recordEnd, strconv.Itoa(p.entries)); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if err := p.tar.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}

type packer struct {
	ctx     context.Context // of one call
	opts    Options
	tar     *tar.Writer
	dev     uint64
	links   map[uint64]string // where a file with several names was met first, by inode
	entries int
}

// mark writes a record that is no entry.
func (p *packer) mark(key, value string) error {
	return p.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "nicferry", PAXRecords: map[string]string{key: value}})
}

func (p *packer) put(h *tar.Header) error {
	if err := p.ctx.Err(); err != nil {
		return context.Cause(p.ctx)
	}
	p.entries++
	if err := p.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("pack %q: %w", h.Name, err)
	}
	return nil
}

// dir packs an open directory and all below it.
func (p *packer) dir(d *os.File, path string, depth int) error {
	st, err := stat(d)
	switch {
	case err != nil:
		return fmt.Errorf("pack %q: %w", path, err)
	case st.Dev != p.dev:
		return fmt.Errorf("pack %q: another file system is mounted there: %w", path, ErrRefused)
	case depth > maxDepth:
		return fmt.Errorf("pack %q: more than %d directories in one another: %w", path, maxDepth, ErrRefused)
	}
	h := header(st, path+"/", tar.TypeDir)
	if err := p.attributes(h, self(d)); err != nil {
		return err
	}
	if err := p.put(h); err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("pack %q: %w", path, err)
	}
	slices.Sort(names)
	for _, name := range names {
		below := name
		if path != "." {
			below = path + "/" + name
		}
		// What has gone meanwhile was deleted by who still uses it.
		if err := p.entry(d, name, below, depth+1); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// entry packs what has a name in an open directory.
func (p *packer) entry(in *os.File, name, path string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(in.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("pack %q: %w", path, err)
	}
	kind := st.Mode & unix.S_IFMT
	whiteout := p.opts.Overlay && kind == unix.S_IFCHR && st.Rdev == 0
	switch kind {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFBLK, unix.S_IFCHR:
		if whiteout {
			return p.put(header(st, path, tar.TypeChar))
		}
		return fmt.Errorf("pack %q: it is a device node: %w", path, ErrRefused)
	case unix.S_IFDIR:
		d, err := openat(in, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("pack %q: %w", path, err)
		}
		defer d.Close()
		return p.dir(d, path, depth)
	}
	if st.Nlink > 1 && st.Dev == p.dev {
		if first, met := p.links[st.Ino]; met {
			h := header(st, path, tar.TypeLink)
			h.Linkname = first
			return p.put(h)
		}
	}
	if err := p.leaf(in, name, path, st); err != nil {
		return err
	}
	if st.Nlink > 1 {
		p.links[st.Ino] = path
	}
	return nil
}

// leaf packs a file, a symbolic link or a pipe.
func (p *packer) leaf(in *os.File, name, path string, st unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.file(in, name, path)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(in.Fd()), name, target)
		if err != nil {
			return fmt.Errorf("pack %q: %w", path, err)
		}
		h := header(st, path, tar.TypeSymlink)
		h.Linkname = string(target[:n])
		return p.put(h)
	case unix.S_IFIFO:
		return p.put(header(st, path, tar.TypeFifo))
	}
	return fmt.Errorf("pack %q: it is no file, directory or link: %w", path, ErrRefused)
}

// header has the attributes that a tar knows itself.
func header(st unix.Stat_t, name string, kind byte) *tar.Header {
	return &tar.Header{
		Typeflag: kind, Name: name, Format: tar.FormatPAX,
		Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()),
	}
}
