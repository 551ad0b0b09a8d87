//go:build linux

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
)

// containers are the names of those that run, or of all.
func (r *run) containers(ctx context.Context, all bool) ([]string, error) {
	args := []string{"ps", "--format", "{{.Names}}"}
	if all {
		args = append(args, "--all")
	}
	out, err := r.vm.Docker(ctx, args...)
	return strings.Fields(out), err
}

// whole waits until every container that runs has its NIC and answers a ping, no claim is
// without its container, and what must always hold does. It says how many run.
func (r *run) whole(ctx context.Context) (running int, err error) {
	err = r.until(ctx, "all to be whole again", 200*time.Millisecond, func(ctx context.Context) (err error) {
		running, err = r.isWhole(ctx)
		return err
	})
	if err != nil {
		return running, err
	}
	return running, r.promised(ctx)
}

// promised waits until what must always hold does.
func (r *run) promised(ctx context.Context) error {
	return r.until(ctx, "what must always hold", 100*time.Millisecond, func(ctx context.Context) error { return promise.Await(ctx, r.promises(), 0) })
}

func (r *run) promises() promise.Options {
	return promise.Options{Config: r.fleet.ConfigPath(), Nodes: map[string]*lab.Node{r.vm.Name: r.vm.Machine}}
}

func (r *run) isWhole(ctx context.Context) (running int, err error) {
	nodes, err := r.fleet.CLI(ctx, "get", "nodes", "-o", "json")
	if err != nil {
		return 0, err
	}
	if _, ready, err := lab.SessionIn(nodes, r.vm.Name); err != nil || !ready {
		return 0, errors.Join(err, fmt.Errorf("node %s is not ready", r.vm.Name))
	}
	names, err := r.containers(ctx, false)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if err := r.answers(ctx, name); err != nil {
			return len(names), err
		}
	}
	all, err := r.containers(ctx, true)
	if err != nil {
		return len(names), err
	}
	claims, err := r.claims(ctx)
	for _, c := range claims {
		if !slices.Contains(all, c.Container) {
			err = errors.Join(err, fmt.Errorf("claim %s, %s, is of container %s, which is gone", c.ID, c.Phase, c.Container))
		}
	}
	return len(names), err
}

// answers wants that a container has an address on eth0, and answers a ping there.
func (r *run) answers(ctx context.Context, name string) error {
	card, err := story.Look(ctx, r.vm.Docker, name)
	if err != nil {
		return fmt.Errorf("container %s: %w", name, err)
	}
	ping, err := r.vm.LAN.Ping(ctx, card.V4, 200*time.Millisecond, 200*time.Millisecond)
	if err == nil && ping.Received == 0 {
		err = fmt.Errorf("container %s does not answer at %s", name, netip.PrefixFrom(card.V4, card.V4.BitLen()).Addr())
	}
	return err
}

func (r *run) claims(ctx context.Context) ([]api.ClaimView, error) {
	out, err := r.fleet.CLI(ctx, "get", "claims", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list api.List[api.ClaimView]
	err = json.Unmarshal([]byte(out), &list)
	return list.Items, err
}

// rest removes all containers, waits until neither claims nor NICs are left, and takes
// the samples that are compared.
func (r *run) rest(ctx context.Context) error {
	r.churn.pause()
	begin := r.since()
	err := r.until(ctx, "all containers to be removed", 200*time.Millisecond, func(ctx context.Context) error {
		names, err := r.containers(ctx, true)
		if err == nil && len(names) > 0 {
			_, err = r.vm.Docker(ctx, append([]string{"rm", "-f"}, names...)...)
			err = errors.Join(err, fmt.Errorf("there were %d", len(names)))
		}
		return err
	})
	if err != nil {
		return err
	}
	r.churn.forget()
	err = r.until(ctx, "claims and NICs to be gone with their containers", 100*time.Millisecond, func(ctx context.Context) error {
		for _, what := range []string{"claims", "nics"} {
			if out, err := r.fleet.CLI(ctx, "get", what, "-o", "name"); err != nil || strings.TrimSpace(out) != "" {
				return errors.Join(err, fmt.Errorf("%s that are left: %s", what, strings.Join(strings.Fields(out), ", ")))
			}
		}
		return nil
	})
	if err == nil {
		err = r.promised(ctx)
	}
	if err != nil {
		return err
	}
	r.result.Rests = append(r.result.Rests, r.since()-begin)
	if err := retry.Sleep(ctx, min(5*time.Second, r.Every/10)); err != nil { // what has just ended is let go
		return err
	}
	return r.look.atRest(ctx)
}
