// Package bundle packs what helps to find a fault into one archive, and takes
// the secrets out of it.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// An Item is one file of the archive.
type Item struct {
	// Name is its path in the archive; required. What a path may not have, as
	// dots that lead out, is replaced.
	Name string
	// About says to a person what it is.
	About string
	// Collect writes it; required. What it has written by the time of an error
	// or of the deadline is kept.
	Collect func(ctx context.Context, w io.Writer) error
	// Limit is how many bytes are kept; default 1 MiB. Tail keeps the last ones.
	Limit int
	Tail  bool
	// Deadline is how long it may take; default 10 s.
	Deadline time.Duration
}

const (
	defaultLimit    = 1 << 20
	defaultDeadline = 10 * time.Second
	// maxTotal bounds all items together, in bytes before compression.
	maxTotal = 64 << 20
	// maxItems bounds their number.
	maxItems = 1000
	// top is the directory that all of the archive is in.
	top = "nicferry-bundle/"
)

// Options are the parts of an archive.
type Options struct {
	Items []Item // required
	// HideAddresses puts names in the place of MACs and IP addresses, the same
	// for the same address.
	HideAddresses bool
	Version       string // the program's, for the index
	Now           func() time.Time
	// Progress is told of each item before it is collected; optional.
	Progress func(name string)

	total int // maxTotal but in tests
}

// An Index says what is in an archive and what is not. It is its last file,
// index.json.
type Index struct {
	Made            time.Time `json:"made"`
	Version         string    `json:"version"`
	AddressesHidden bool      `json:"addressesHidden"`
	Items           []Entry   `json:"items"`
}

// An Entry is what became of one item.
type Entry struct {
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
	Bytes int    `json:"bytes"`
	// Truncated: there was more than is kept.
	Truncated bool `json:"truncated,omitempty"`
	// Missing says why it is not there, or not all of it.
	Missing string `json:"missing,omitempty"`
}

// Write collects the items one after the other and writes them to out as tar.gz,
// with their secrets taken out. What cannot be collected is in the index with
// the reason; the error is that of ctx or of out.
func Write(ctx context.Context, out io.Writer, opts Options) (Index, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.total == 0 {
		opts.total = maxTotal
	}
	zip := gzip.NewWriter(out)
	p := &packer{tar: tar.NewWriter(zip), opts: opts, redact: newRedactor(opts.HideAddresses), names: map[string]bool{}}
	p.index = Index{Made: opts.Now().UTC(), Version: opts.Version, AddressesHidden: opts.HideAddresses, Items: []Entry{}}
	for i, item := range opts.Items {
		if i >= maxItems {
			p.index.Items = append(p.index.Items, Entry{Name: "…", Missing: fmt.Sprintf("%d more are left out", len(opts.Items)-i)})
			break
		}
		if err := p.add(ctx, item); err != nil {
			return p.index, err
		}
	}
	text, err := json.MarshalIndent(p.index, "", "  ")
	if err != nil {
		return p.index, fmt.Errorf("encode the index: %w", err)
	}
	err = p.put("index.json", append(p.redact.json(text), '\n'))
	return p.index, errors.Join(err, p.tar.Close(), zip.Close())
}

// packer is one archive in the making.
type packer struct {
	tar    *tar.Writer
	opts   Options
	redact *redactor
	index  Index
	names  map[string]bool
	total  int
}

// add collects one item; its own errors go to the index.
func (p *packer) add(ctx context.Context, item Item) error {
	name := p.name(item.Name)
	if p.opts.Progress != nil {
		p.opts.Progress(name)
	}
	text, truncated, err := collect(ctx, item)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entry := Entry{Name: name, About: item.About, Truncated: truncated}
	if err != nil {
		entry.Missing = string(p.redact.text([]byte(err.Error())))
	}
	if strings.HasSuffix(name, ".json") && !truncated {
		text = p.redact.json(text)
	} else {
		text = p.redact.text(text)
	}
	if entry.Bytes = len(text); p.total+len(text) > p.opts.total {
		entry.Bytes, text = 0, nil
		entry.Missing = fmt.Sprintf("the archive has %d bytes already", p.total)
	}
	p.total += len(text)
	p.index.Items = append(p.index.Items, entry)
	if len(text) == 0 && entry.Missing != "" {
		return nil
	}
	return p.put(name, text)
}

func (p *packer) put(name string, text []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: top + name, Mode: 0o600, Size: int64(len(text)), ModTime: p.index.Made}
	if err := p.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	if _, err := p.tar.Write(text); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}

// name makes a path that stays below the archive's directory, has nothing that a
// shell or a terminal would act on, and is no other's.
func (p *packer) name(wanted string) string {
	var parts []string
	for part := range strings.SplitSeq(wanted, "/") {
		part = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
				return r
			}
			return '_'
		}, part[:min(len(part), 64)])
		if part = strings.TrimLeft(part, ".-"); part != "" && len(parts) < 8 {
			parts = append(parts, part)
		}
	}
	name := strings.Join(parts, "/")
	if name == "" {
		name = "item"
	}
	for n := 2; p.names[name] || name == "index.json"; n++ {
		name = fmt.Sprintf("%s.%d", strings.TrimSuffix(strings.Join(parts, "/"), ".json"), n)
	}
	p.names[name] = true
	return name
}

// collect runs an item to its end or its deadline. One that minds neither is
// left to itself: it may hang in a file system.
func collect(ctx context.Context, item Item) (text []byte, truncated bool, err error) {
	if item.Limit <= 0 {
		item.Limit = defaultLimit
	}
	if item.Deadline <= 0 {
		item.Deadline = defaultDeadline
	}
	ctx, cancel := context.WithTimeoutCause(ctx, item.Deadline, fmt.Errorf("not done within %s", item.Deadline))
	defer cancel()
	kept := &capped{limit: item.Limit, tail: item.Tail}
	done := make(chan error, 1)
	go func() { done <- item.Collect(ctx, kept) }()
	grace := time.AfterFunc(item.Deadline+time.Second, func() { done <- context.Cause(ctx) })
	defer grace.Stop()
	err = <-done
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	text, truncated = kept.take()
	return bytes.ToValidUTF8(text, []byte("\uFFFD")), truncated, err
}
