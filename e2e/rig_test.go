//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/labtest"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/rogpeppe/go-internal/testscript"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(labtest.WithPrograms(m, "..", &bin).Run()) }

// A rig is one script's machine: a node with Docker, two LANs, and nicferry.
type rig struct {
	node     *lab.Node
	lan      *lab.Segment // 10.77.0.1/24, 10.77.1.1/24, fd77::1/64, DHCP; wired to uplink0
	other    *lab.Segment // 10.78.0.1/24; wired to uplink1
	before   lab.Snapshot
	programs *lab.Daemons
	pings    map[string]chan pinged
	// composePlugin is the plugin that compose runs; empty for docker-compose.
	composePlugin string
}

type pinged struct {
	result lab.PingResult
	err    error
}

// deadline bounds each step of a script, and each clean-up. On an idle machine
// none takes more than some seconds.
const deadline = 90 * time.Second

// long says that the long tests are asked for. The others run in them too.
func long() bool { return os.Getenv("NICFERRY_LONG") != "" }

// script runs one script of testdata on a rig of its own, beside others. What follows
// [long] in a script is for the long tests, and what follows [!long] for the others.
func script(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	scriptOn(t, name, func(*rig) {})
}

// scriptAlone is for one that takes all of the machine by itself.
func scriptAlone(t *testing.T, name string) {
	t.Helper()
	scriptOn(t, name, func(*rig) {})
}

// scriptOn runs a script on a rig that is prepared first.
func scriptOn(t *testing.T, name string, prepare func(*rig)) {
	t.Helper()
	netnstest.RequireRoot(t)
	testscript.Run(t, testscript.Params{
		Files: []string{filepath.Join("testdata", name+".txtar")},
		Condition: func(cond string) (bool, error) {
			if cond != "long" {
				return false, fmt.Errorf("no condition %q", cond)
			}
			return long(), nil
		},
		Setup: func(env *testscript.Env) error {
			r := &rig{pings: map[string]chan pinged{}}
			prepare(r)
			return r.setUp(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"docker":       onRig((*rig).docker),
			"compose":      onRig((*rig).compose),
			"nicferry":     onRig((*rig).nicferry),
			"node":         onRig((*rig).onNode),
			"lan":          onRig((*rig).onLAN),
			"run":          onRig((*rig).runContainer),
			"daemon":       onRig((*rig).daemon),
			"ping":         onRig((*rig).startPing),
			"pinged":       onRig((*rig).endPing),
			"leases":       onRig((*rig).leases),
			"log":          onRig((*rig).log),
			"engine":       onRig((*rig).engine),
			"events":       onRig((*rig).events),
			"crowd":        crowd,
			"restarts":     restarts,
			"stray":        onRig((*rig).stray),
			"harm":         onRig((*rig).harm),
			"peak":         onRig((*rig).peak),
			"dhcp":         onRig((*rig).dhcp),
			"dhcp-options": onRig((*rig).dhcpOptions),
			"ra":           onRig((*rig).routerAdvertisements),
			"await":        await,
			"invariants":   onRig((*rig).invariants),
		},
	})
}

// setUp makes the rig and starts both daemons, unless the script brings a file
// "by-hand". With a file "examples" they run on the example configs, with a
// file "live-restore" the engine keeps containers running while it is down.
func (r *rig) setUp(env *testscript.Env) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	env.Values["rig"] = r
	env.Defer(func() {
		if err := r.end(); err != nil {
			env.T().Fatal(err)
		}
	})
	var err error
	_, liveRestore := os.Stat(filepath.Join(env.WorkDir, "live-restore"))
	if r.node, err = lab.Start(ctx, lab.Options{LiveRestore: liveRestore == nil}); err != nil {
		return err
	}
	r.programs = r.node.Daemons()
	if _, err = r.node.Engine.Image(ctx); err != nil {
		return err
	}
	if r.lan, err = r.node.Segment(ctx, lab.SegmentOptions{}); err != nil {
		return err
	}
	r.other, err = r.node.Segment(ctx, lab.SegmentOptions{
		Name: "other", Uplink: "uplink1", Addrs: []netip.Prefix{netip.MustParsePrefix("10.78.0.1/24")},
		DHCP: rangeOf("10.78.0.100", "10.78.0.199"),
	})
	if err != nil {
		return err
	}
	env.Setenv("DIR", r.node.Dir())
	env.Setenv("BIN", bin)
	env.Setenv("IMAGE", lab.ImageName)
	if err := r.writeConfigs(env.WorkDir); err != nil {
		return err
	}
	if r.before, err = r.node.Snapshot(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(env.WorkDir, "by-hand")); err == nil {
		return nil
	}
	_, err = r.start(ctx, "controller")
	if err == nil {
		_, err = r.start(ctx, "agent")
	}
	return err
}

func (r *rig) file(name string) string { return filepath.Join(r.node.Dir(), name) }

// end takes everything away as a user would, and demands that the node is as
// it was before nicferry came.
func (r *rig) end() error {
	if r.node == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	defer cancel()
	err := r.leave(ctx)
	if err != nil {
		for _, name := range []string{"controller", "agent"} {
			text, _ := os.ReadFile(r.file(name + ".log"))
			err = errors.Join(err, fmt.Errorf("log of %s:\n%s", name, text))
		}
	}
	return errors.Join(err, r.node.Close())
}

func (r *rig) leave(ctx context.Context) error {
	if r.before == nil {
		return nil // the set-up failed, and has said so
	}
	if r.programs.Process("controller") != nil && r.programs.Process("agent") != nil {
		if _, err := r.invariants(ctx); err != nil {
			return err
		}
	}
	ids, err := r.docker(ctx, "ps", "-aq")
	if err != nil {
		return err
	}
	if names := strings.Fields(ids); len(names) > 0 {
		if _, err := r.docker(ctx, append([]string{"rm", "-f"}, names...)...); err != nil {
			return err
		}
	}
	if r.programs.Process("controller") != nil && r.programs.Process("agent") != nil {
		if err := r.awaitEmpty(ctx); err != nil {
			return err
		}
	}
	for _, name := range []string{"agent", "controller"} {
		if err := r.programs.Stop(ctx, name); err != nil {
			return err
		}
	}
	if _, err := r.invariants(ctx); err != nil {
		return err
	}
	left, err := r.node.Leftovers(ctx, r.before, deadline/3)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
	return err
}

// invariants demands that what must always hold of records, providers and the
// node does, once what moves has come to rest.
func (r *rig) invariants(ctx context.Context, _ ...string) (string, error) {
	return "", promise.Await(ctx, promise.Options{Node: r.node, Config: r.file("nicferryd.yaml")}, 20*time.Second)
}

// awaitEmpty waits until the controller has neither claims nor NICs.
func (r *rig) awaitEmpty(ctx context.Context) error {
	for end := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
		nics, err := r.nicferry(ctx, "get", "nics")
		claims, err2 := r.nicferry(ctx, "get", "claims")
		if err == nil && err2 == nil && strings.Count(nics, "\n") <= 1 && strings.Count(claims, "\n") <= 1 {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("after %s without containers there still are:\n%s%s", deadline, nics, claims), err, err2)
		}
	}
}
