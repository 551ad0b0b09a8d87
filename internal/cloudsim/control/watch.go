package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// look is how often a watched file is looked at.
const look = 200 * time.Millisecond

// A File is a plan of faults that its reader edits while the cloud runs.
type File struct {
	control *Control
	path    string
	text    []byte
	names   []string // of what it has planned
}

// Load plans what a file says. The file must be there.
func (c *Control) Load(path string) (*File, error) {
	f := &File{control: c, path: path}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan of faults: %w", err)
	}
	return f, f.take(text)
}

// Watch takes the file over anew whenever its content changes, until ctx ends.
// What it had planned before is taken back first; what it has not planned stays.
// A file that is gone is a plan without faults, one with errors changes nothing.
// A content counts from the second look on that finds it: who saves a file may
// leave it empty, or cut short, for a moment.
func (f *File) Watch(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	last := f.text
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		text, err := os.ReadFile(f.path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			again := bytes.Equal(text, last)
			last = text
			if !again || bytes.Equal(text, f.text) {
				continue
			}
			err = f.take(text)
		}
		if err != nil {
			f.control.opts.Log.Warn("plan of faults not taken, the one before holds",
				slog.String("file", f.path), slog.Any("error", err))
		}
	}
}

// take replaces what the file has planned. A text is refused only once.
func (f *File) take(text []byte) error {
	f.text = bytes.Clone(text)
	plan, err := ReadPlan(text)
	if err != nil {
		return err
	}
	c := f.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(f.names) > 0 { // none named would be all
		c.opts.Cloud.Clear(f.names...)
	}
	if c.opts.Metadata != nil {
		c.opts.Metadata.Clear()
	}
	f.names, err = c.apply(plan)
	return err
}
