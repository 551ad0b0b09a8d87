//go:build linux

package tree

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxExtents bounds the pieces of data told of one file. What is beyond goes as
// one, zeros and all.
const maxExtents = 2000

// An extent is a piece of a file that is no hole.
type extent struct{ offset, length int64 }

// file packs the data of a file that is no link.
func (p *packer) file(in *os.File, name, path string) error {
	// It may be a pipe by now, which must not hold us up.
	f, err := openat(in, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("pack %q: %w", path, err)
	}
	defer f.Close()
	st, err := stat(f)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("it is no file any more")
	}
	if err != nil {
		return fmt.Errorf("pack %q: %w", path, err)
	}
	h := header(st, path, tar.TypeReg)
	if err := p.attributes(h, self(f)); err != nil {
		return err
	}
	data := []extent{{0, st.Size}}
	h.Size = st.Size
	if st.Blocks*512 < st.Size {
		if data, err = extents(f, st.Size); err != nil {
			return fmt.Errorf("look for holes in %q: %w", path, err)
		}
		h.Size = tell(h, data, st.Size)
	}
	if err := p.put(h); err != nil {
		return err
	}
	for _, e := range data {
		n, err := io.Copy(p.tar, io.NewSectionReader(f, e.offset, e.length))
		if err == nil && n != e.length {
			err = errors.New("it has changed while it was read")
		}
		if err != nil {
			return fmt.Errorf("pack %q: %w", path, err)
		}
	}
	return nil
}

// extents lists what is no hole.
func extents(f *os.File, size int64) ([]extent, error) {
	var all []extent
	for at := int64(0); at < size; {
		start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return nil, err
		}
		end, err := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if end = min(end, size); len(all) == maxExtents-1 {
			end = size
		}
		if start >= end {
			break
		}
		all = append(all, extent{start, end - start})
		at = end
	}
	return all, nil
}

// tell writes the extents into the header and returns the bytes of data.
func tell(h *tar.Header, all []extent, size int64) (data int64) {
	words := make([]string, 0, len(all))
	for _, e := range all {
		words = append(words, fmt.Sprintf("%d+%d", e.offset, e.length))
		data += e.length
	}
	if h.PAXRecords == nil {
		h.PAXRecords = map[string]string{}
	}
	h.PAXRecords[recordSize] = strconv.FormatInt(size, 10)
	if len(words) > 0 { // an empty record would delete
		h.PAXRecords[recordExtents] = strings.Join(words, ",")
	}
	return data
}

// told reads the extents and the size from a header that anybody may have made.
func told(h *tar.Header) (all []extent, size int64, err error) {
	word, holes := h.PAXRecords[recordSize]
	if !holes {
		return []extent{{0, h.Size}}, h.Size, nil
	}
	if size, err = strconv.ParseInt(word, 10, 64); err != nil || size < 0 {
		return nil, 0, fmt.Errorf("%w: size %q", ErrBroken, word)
	}
	var at, data int64
	for word := range strings.SplitSeq(h.PAXRecords[recordExtents], ",") {
		if word == "" {
			continue
		}
		first, second, _ := strings.Cut(word, "+")
		offset, errA := strconv.ParseInt(first, 10, 64)
		length, errB := strconv.ParseInt(second, 10, 64)
		if errA != nil || errB != nil || offset < at || length <= 0 || length > size || offset > size-length {
			return nil, 0, fmt.Errorf("%w: extent %q", ErrBroken, word)
		}
		all = append(all, extent{offset, length})
		at, data = offset+length, data+length
	}
	if data != h.Size {
		return nil, 0, fmt.Errorf("%w: extents of %d bytes, data of %d", ErrBroken, data, h.Size)
	}
	return all, size, nil
}
