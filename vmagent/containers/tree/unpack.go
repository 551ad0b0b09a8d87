//go:build linux

package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An Archive is a stream of Pack's that is being read.
type Archive struct {
	// Note is what the stream begins with.
	Note string
	from io.Reader
	tar  *tar.Reader
}

// Open reads the beginning of a stream, which may be anybody's.
func Open(r io.Reader) (*Archive, error) {
	a := &Archive{from: r, tar: tar.NewReader(r)}
	h, err := a.tar.Next()
	if err != nil {
		return nil, fmt.Errorf("read beginning of stream: %w", broken(err))
	}
	note, is := h.PAXRecords[recordNote]
	if _, end := h.PAXRecords[recordEnd]; h.Typeflag != tar.TypeXGlobalHeader || !is && end {
		return nil, fmt.Errorf("read beginning of stream: %w", ErrBroken)
	}
	a.Note = note
	return a, nil
}

// broken gives an error of a reader our kind, unless it has another cause.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return err
}

// Unpack makes all that the stream holds in an empty directory, to which it gives
// the attributes of the one that was packed. It reads the stream to its end. What
// Pack would not have written is an error; then there may be anything below dir.
func (a *Archive) Unpack(ctx context.Context, dir string, opts Options) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	u := &unpacker{tar: a.tar, opts: opts, root: root}
	defer u.close()
	for entries := 0; ; entries++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		h, err := a.tar.Next()
		if err != nil {
			return fmt.Errorf("unpack: %w", broken(err))
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			if h.PAXRecords[recordEnd] != strconv.Itoa(entries) || entries == 0 {
				return fmt.Errorf("unpack: %w: it has %d entries and says %q", ErrBroken, entries, h.PAXRecords[recordEnd])
			}
			if err := u.up(""); err != nil {
				return err
			}
			return a.drain()
		}
		if err := u.entry(h); err != nil {
			return err
		}
	}
}

// drain reads the end, so that who counts the bytes has seen all.
func (a *Archive) drain() error {
	if _, err := a.tar.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("unpack: %w: there is more after its end", ErrBroken)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(a.from, 1))
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: there is more after its end", ErrBroken)
	}
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

// level is a directory that is being filled. Its attributes come last: what is
// made in it changes its time.
type level struct {
	dir    *os.File
	path   string // without a slash at its end; "." is the root
	header *tar.Header
}

type unpacker struct {
	tar  *tar.Reader
	opts Options
	root *os.Root
	open []level // from the root down
}

func (u *unpacker) close() {
	for _, l := range u.open {
		l.dir.Close()
	}
}

// up closes directories until the one with that path is the last; "" closes all.
func (u *unpacker) up(path string) error {
	for len(u.open) > 0 {
		l := u.open[len(u.open)-1]
		if l.path == path {
			return nil
		}
		err := u.opts.dress(l.dir, l.header)
		l.dir.Close()
		u.open = u.open[:len(u.open)-1]
		if err != nil {
			return err
		}
	}
	if path != "" {
		return fmt.Errorf("unpack: %w: nothing is open as %q", ErrBroken, path)
	}
	return nil
}

// entry makes what one header tells.
func (u *unpacker) entry(h *tar.Header) error {
	name := strings.TrimSuffix(h.Name, "/")
	if len(u.open) == 0 {
		if name != "." || h.Typeflag != tar.TypeDir {
			return fmt.Errorf("unpack %q: %w: it does not begin with a directory", h.Name, ErrBroken)
		}
		return u.enter(".", h, func() (*os.File, error) { return u.root.Open(".") })
	}
	if !inside(name) {
		return fmt.Errorf("unpack %q: %w: no path of ours", h.Name, ErrBroken)
	}
	if err := u.up(path.Dir(name)); err != nil {
		return err
	}
	in, base := u.open[len(u.open)-1].dir, path.Base(name)
	switch h.Typeflag {
	case tar.TypeDir:
		if len(u.open) > maxDepth {
			return fmt.Errorf("unpack %q: more than %d directories in one another: %w", h.Name, maxDepth, ErrRefused)
		}
		if err := unix.Mkdirat(int(in.Fd()), base, 0o700); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
		return u.enter(name, h, func() (*os.File, error) {
			return openat(in, base, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		})
	case tar.TypeReg:
		return u.file(in, base, h)
	case tar.TypeLink:
		return u.link(in, base, h)
	}
	return u.other(in, base, h)
}

func (u *unpacker) enter(path string, h *tar.Header, open func() (*os.File, error)) error {
	d, err := open()
	if err != nil {
		return fmt.Errorf("unpack %q: %w", h.Name, err)
	}
	u.open = append(u.open, level{d, path, h})
	return nil
}

// inside says whether a path is one below the root, in its shortest form.
func inside(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.HasPrefix(name, "../") &&
		!strings.HasPrefix(name, "/") && path.Clean(name) == name && !strings.Contains(name, "\x00")
}

func (u *unpacker) file(in *os.File, base string, h *tar.Header) error {
	data, size, err := told(h)
	if err != nil {
		return fmt.Errorf("unpack %q: %w", h.Name, err)
	}
	f, err := openat(in, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("unpack %q: %w", h.Name, err)
	}
	defer f.Close()
	for _, e := range data {
		if _, err := io.CopyN(io.NewOffsetWriter(f, e.offset), u.tar, e.length); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, broken(err))
		}
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("unpack %q: %w", h.Name, err)
	}
	return u.opts.dress(f, h)
}

// link gives a file that was unpacked before another name.
func (u *unpacker) link(in *os.File, base string, h *tar.Header) error {
	if !inside(h.Linkname) {
		return fmt.Errorf("unpack %q: %w: a link to %q", h.Name, ErrBroken, h.Linkname)
	}
	from, err := u.root.Open(path.Dir(h.Linkname))
	if err != nil {
		return fmt.Errorf("unpack %q: %w", h.Name, err)
	}
	defer from.Close()
	if err := unix.Linkat(int(from.Fd()), path.Base(h.Linkname), int(in.Fd()), base, 0); err != nil {
		return fmt.Errorf("unpack %q: link to %q: %w", h.Name, h.Linkname, err)
	}
	return nil
}

// other makes a symbolic link, a pipe, or the mark of something deleted.
func (u *unpacker) other(in *os.File, base string, h *tar.Header) error {
	fd := int(in.Fd())
	var err error
	switch {
	case h.Typeflag == tar.TypeSymlink:
		err = unix.Symlinkat(h.Linkname, fd, base)
	case h.Typeflag == tar.TypeFifo:
		err = unix.Mknodat(fd, base, unix.S_IFIFO|0o600, 0)
	case h.Typeflag == tar.TypeChar && u.opts.Overlay && h.Devmajor == 0 && h.Devminor == 0:
		err = unix.Mknodat(fd, base, unix.S_IFCHR, 0)
	default:
		err = fmt.Errorf("an entry of type %q: %w", h.Typeflag, ErrRefused)
	}
	if err == nil {
		err = unix.Fchownat(fd, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil && h.Typeflag == tar.TypeFifo {
		err = unix.Fchmodat(fd, base, uint32(h.Mode)&0o7777, 0)
	}
	if err == nil {
		err = unix.UtimesNanoAt(fd, base, times(h), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("unpack %q: %w", h.Name, err)
	}
	return nil
}
