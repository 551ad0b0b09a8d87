//go:build linux

package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// self is a path to an open file, whatever has become of its name.
func self(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func stat(f *os.File) (st unix.Stat_t, err error) {
	return st, unix.Fstat(int(f.Fd()), &st)
}

// openat opens a name in an open directory, and no link.
func openat(in *os.File, name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(in.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// attributes adds those of an open file or directory that go along.
func (p *packer) attributes(h *tar.Header, file string) error {
	names, err := list(file)
	if err != nil {
		return fmt.Errorf("list attributes of %q: %w", h.Name, err)
	}
	for _, name := range names {
		if p.opts.Overlay && (name == overlayPrefix+"redirect" || name == overlayPrefix+"metacopy") {
			return fmt.Errorf("pack %q: the kernel has kept a change of it as a reference (%s): %w", h.Name, name, ErrRefused)
		}
		if !p.opts.carried(name) {
			continue
		}
		value, err := get(file, name)
		switch {
		case errors.Is(err, unix.ENODATA):
			continue
		case err != nil:
			return fmt.Errorf("read attribute %q of %q: %w", name, h.Name, err)
		case strings.Contains(name, "="):
			return fmt.Errorf("pack %q: its attribute %q has a = in its name: %w", h.Name, name, ErrRefused)
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[recordXattr+name] = string(value)
	}
	return nil
}

func list(file string) ([]string, error) {
	for {
		size, err := unix.Listxattr(file, nil)
		if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size)
		n, err := unix.Listxattr(file, buf)
		if errors.Is(err, unix.ERANGE) {
			continue // it has become more
		}
		if err != nil {
			return nil, err
		}
		var names []string
		for name := range bytes.SplitSeq(bytes.TrimSuffix(buf[:n], []byte{0}), []byte{0}) {
			names = append(names, string(name))
		}
		return names, nil
	}
}

// maxXattr is the kernel's own bound of an attribute.
const maxXattr = 64 << 10

func get(file, name string) ([]byte, error) {
	buf := make([]byte, maxXattr)
	n, err := unix.Getxattr(file, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// dress gives an open file or directory its owner, mode, attributes and times. A
// change of owner drops capabilities and set-id bits, so it is first.
func (o Options) dress(f *os.File, h *tar.Header) error {
	fd := int(f.Fd())
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return fmt.Errorf("give %q to %d:%d: %w", h.Name, h.Uid, h.Gid, err)
	}
	if err := unix.Fchmod(fd, uint32(h.Mode)&0o7777); err != nil {
		return fmt.Errorf("set mode of %q: %w", h.Name, err)
	}
	for key, value := range h.PAXRecords {
		name, is := strings.CutPrefix(key, recordXattr)
		if !is {
			continue
		}
		if !o.carried(name) {
			return fmt.Errorf("unpack %q: attribute %q: %w", h.Name, name, ErrRefused)
		}
		if err := unix.Setxattr(self(f), name, []byte(value), 0); err != nil {
			return fmt.Errorf("set attribute %q of %q: %w", name, h.Name, err)
		}
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, self(f), times(h), 0); err != nil {
		return fmt.Errorf("set time of %q: %w", h.Name, err)
	}
	return nil
}

// times leave the time of the last access alone.
func times(h *tar.Header) []unix.Timespec {
	modified := unix.NsecToTimespec(h.ModTime.UnixNano())
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, modified}
}
