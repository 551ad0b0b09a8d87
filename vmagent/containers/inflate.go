//go:build linux

package containers

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// A gauge measures what the parts of an image's archive are once Docker has unpacked
// them: a small one may be a large one, compressed.
type gauge struct {
	room int64 // bytes that are left for them; below 0 of any size
}

var errGrows = fmt.Errorf("%w: unpacked, the image would leave too little room on the disk", ErrRefused)

// Magic numbers of what Docker unpacks by itself.
var (
	gzipped = []byte{0x1f, 0x8b, 0x08}
	// others it would have to be unpacked to know its size by; docker save writes none.
	others = map[string][]byte{"bzip2": []byte("BZh"), "xz": {0xfd, '7', 'z', 'X', 'Z', 0}, "zstd": {0x28, 0xb5, 0x2f, 0xfd}}
)

// copy is io.Copy of one part, which fails before it has passed on what would grow
// beyond the room.
func (g *gauge) copy(to io.Writer, from io.Reader) error {
	body := bufio.NewReaderSize(from, chunkSize)
	head, err := body.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for name, magic := range others {
		if bytes.HasPrefix(head, magic) {
			return fmt.Errorf("%w: a part of it is compressed with %s; docker pull it on both nodes, or push it to a registry", ErrRefused, name)
		}
	}
	if g.room < 0 || !bytes.HasPrefix(head, gzipped) {
		_, err = io.Copy(to, body)
		return err
	}
	ahead, behind := io.Pipe()
	grown := make(chan error, 1)
	go func() {
		err := g.inflate(ahead)
		ahead.CloseWithError(err) // nil is io.ErrClosedPipe, after the end
		grown <- err
	}()
	_, err = io.Copy(to, io.TeeReader(body, behind))
	behind.Close()
	if why := <-grown; why != nil {
		return why
	}
	return err
}

// inflate reads a gzip stream to its end, as Docker would, and takes its size off the
// room.
func (g *gauge) inflate(from io.Reader) error {
	r, err := gzip.NewReader(from)
	if err != nil {
		return fmt.Errorf("a part of it: %w", err)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, g.room+1))
	switch {
	case n > g.room:
		return errGrows
	case err != nil:
		return fmt.Errorf("a part of it: %w", err)
	}
	g.room -= n
	_, err = io.Copy(io.Discard, from) // what is after it is no part of it
	return err
}

// chunkSize is how many bytes are looked at at a time.
const chunkSize = 64 << 10
