//go:build linux

// Package cloudbench measures how a controller uses a cloud: its calls, how many of
// them are throttled, how many claims it serves in a second, and how long containers
// wait for their NICs.
package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// Options say what to measure.
type Options struct {
	figures.Settings // 5 rounds by default; the parts are those of Parts
	// Bin is where nicferryd is. Required.
	Bin string
	// Doc is a file that gets the report too. Optional.
	Doc string
}

// The parts, in order.
const (
	partCalls    = "calls"
	partThrottle = "throttle"
	partCrowd    = "crowd"
	partWait     = "wait"
)

// Parts are the names of what can be measured, in order.
func Parts() []string { return []string{partCalls, partThrottle, partCrowd, partWait} }

// bench is one run.
type bench struct {
	opts Options
	file *figures.File
}

// Run measures, and writes bench-cloud.csv and bench-cloud.md. It needs no root and
// no network but loopback. The error says also how many starts did not come to their
// end.
func Run(ctx context.Context, opts Options) error {
	err := opts.Complete(5, Parts())
	if err == nil && opts.Bin == "" {
		err = errors.New("no folder with nicferryd")
	}
	if err != nil {
		return fmt.Errorf("measure a cloud: %w", err)
	}
	// The emulator and the nodes share the processors with what is measured.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	path := filepath.Join(opts.Out, figuresName)
	m, err := figures.Measure(path, opts.Commit, func(f *figures.File) error {
		b := &bench{opts: opts, file: f}
		return b.opts.Take(ctx, Parts(), b.calls, b.throttle, b.crowd, b.wait)
	})
	if err != nil {
		return fmt.Errorf("measure a cloud: %w", err)
	}
	return Tell(path, m, opts.Out, opts.Doc)
}
