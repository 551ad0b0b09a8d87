//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, "../..", &bin).Run()) }

// long says that the long tests are asked for.
func long() bool { return os.Getenv("NICFERRY_LONG") != "" }

// patience bounds what takes seconds on an idle machine.
const patience, pause = 3 * time.Minute, 20 * time.Millisecond

// A rig is a fleet with two controllers on an etcd of three members.
type rig struct {
	*fleet.Fleet
	t       testing.TB
	records store.Store
}

// start starts a fleet, which ends with the test.
func start(t testing.TB, agents int) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Options{Bin: bin, Agents: agents, Etcd: etcdtest.Current(t)})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Fleet: f, t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.Logs())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	records, err := r.Records(ctx)
	r.do(err)
	r.records = records
	t.Cleanup(func() {
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// do fails the test at an error.
func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// soon asks until there is no error.
func (r *rig) soon(what string, ask func(context.Context) error) {
	r.t.Helper()
	r.do(lab.Until(r.t.Context(), what, patience, pause, ask))
}

// keepsItsPromises demands that what must always hold of records, nodes and engines does.
func (r *rig) keepsItsPromises() {
	r.t.Helper()
	nodes := map[string]*lab.Node{}
	for _, a := range r.Agents {
		nodes[a.Name] = a.Machine
	}
	r.do(promise.Await(r.t.Context(), promise.Options{Config: r.ConfigPath(), Records: r.records, Nodes: nodes}, patience))
}

// bound says why not that many claims are bound.
func (r *rig) bound(ctx context.Context, want int) error {
	out, err := r.CLI(ctx, "get", "claims", "--no-headers")
	if err != nil {
		return err
	}
	if n := strings.Count(out, " bound "); n < want {
		return fmt.Errorf("%d of %d bound:\n%s", n, want, out)
	}
	return nil
}

// cards are the MAC and the addresses of eth0 in each container, by the container's
// kernel, as "MAC ADDRESS".
func (r *rig) cards(a *fleet.Agent) (map[string]string, error) {
	names, err := a.Docker(r.t.Context(), "ps", "--format", "{{.Names}}")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, name := range strings.Fields(names) {
		out, err := a.Docker(r.t.Context(), "exec", name, "sh", "-c", "cat /sys/class/net/eth0/address; ip -o -4 addr show dev eth0")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		fields := strings.Fields(out) // MAC 2: eth0 inet 10.77.1.100/24 …
		if len(fields) < 5 {
			return nil, fmt.Errorf("%s has %q", name, out)
		}
		found[name] = fields[0] + " " + fields[4]
	}
	return found, nil
}

// leaveNothing removes all containers, after which no NIC may be left.
func (r *rig) leaveNothing() {
	r.t.Helper()
	for _, a := range r.Agents {
		ids, err := a.Docker(r.t.Context(), "ps", "-aq")
		r.do(err)
		_, err = a.Docker(r.t.Context(), append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
		r.do(err)
	}
	r.soon("all NICs to be gone", func(ctx context.Context) error {
		out, err := r.CLI(ctx, "get", "nics", "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = errors.New("there still are:\n" + out)
		}
		return err
	})
}
