//go:build linux

package movebench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/nic"
)

// ferry has nicferry move: the NIC of a container to a stand-by of the same name, or
// a container with its NIC.
type ferry struct {
	*bench
	kind      nic.MoveKind
	container string
	ip        string
	at        int
}

func (f *ferry) place(ctx context.Context) error {
	err := f.run(ctx, f.node(0), f.container, "--label", "nicferry.network=fixed", "--label", "nicferry.ip="+f.ip)
	if err == nil && f.kind == nic.MoveNIC {
		err = f.run(ctx, f.node(1), f.container)
	}
	if err != nil {
		return err
	}
	return f.rests(ctx)
}

// rests waits until the claim is bound where it is to be.
func (f *ferry) rests(ctx context.Context) error {
	return lab.Until(ctx, "the claim of "+f.container+" to be bound", patience, 50*time.Millisecond, func(ctx context.Context) error {
		c, err := story.Claim(ctx, f.lab.CLI, f.container)
		if err == nil && (c.Phase != nic.ClaimBound || c.Owner.Node != f.node(f.at).Name) {
			err = fmt.Errorf("it is %s, of %s: %v", c.Phase, c.Owner, c.Conditions)
		}
		return err
	})
}

func (f *ferry) addr() netip.Addr { return netip.MustParseAddr(f.ip) }

func (f *ferry) move(ctx context.Context) (run, error) {
	to := f.node(1 - f.at).Name
	args := []string{"migrate", f.container, "--to", to, "-o", "json"}
	if f.kind == nic.MoveNIC {
		args = []string{"move-nic", f.container, "--from", f.node(f.at).Name, "--to", to + "/" + f.container, "-o", "json"}
	}
	r := run{order: time.Now()}
	out, err := f.lab.CLI(ctx, args...)
	r.end = time.Now()
	if err != nil {
		return r, err
	}
	f.at = 1 - f.at
	var m nic.Move
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		return r, fmt.Errorf("read the move: %w", err)
	}
	for _, s := range m.Steps {
		r.steps = append(r.steps, step{name: s.Name, took: s.Ended.Sub(s.Began), began: s.Began})
	}
	return r, f.rests(ctx)
}

func (f *ferry) remove(ctx context.Context) error { return f.clear(ctx, f.container) }
