//go:build linux

package vmdemo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/story"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// A cost is what a start took of the cloud: the calls that changed its interface,
// and all describes meanwhile.
type cost struct {
	changes map[string]int
	reads   int
}

// begin starts a container by docker's verb, and returns what it has, when it had that, and what
// the cloud's log says that it cost until then.
func (s *show) begin(ctx context.Context, guest, name, network string, verb ...string) (card story.Card, took time.Duration, c cost, err error) {
	before, err := s.mark(ctx)
	if err != nil {
		return card, 0, c, err
	}
	start := time.Now()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.make(gctx, guest, name, verb, "nicferry.network="+network) })
	var claim api.ClaimView
	group.Go(func() (err error) {
		claim, err = s.isBound(gctx, name)
		took = time.Since(start)
		return err
	})
	if err := group.Wait(); err != nil {
		return card, 0, c, err
	}
	log, err := s.calls(ctx, before)
	if err != nil {
		return card, 0, c, err
	}
	eni, err := s.interfaceOf(ctx, claim.NIC)
	if err != nil {
		return card, 0, c, err
	}
	c = cost{changes(log, eni), reads(log)}
	if card, err = story.Look(ctx, s.docker(guest), name); err != nil {
		return card, 0, c, err
	}
	addrs := given(claim)
	if len(addrs) != 2 || addrs[0] != card.V4 || !addrs[1].Is6() {
		return card, 0, c, fmt.Errorf("%s has %s, and the cloud gave %v, want that and one of IPv6", name, card.V4, addrs)
	}
	return card, took, c, s.answers(ctx, addrs...)
}

// given are the addresses that the cloud gave.
func given(c api.ClaimView) []netip.Addr {
	var all []netip.Addr
	for _, p := range c.Identity.Addrs {
		all = append(all, p.Addr())
	}
	return all
}

// nics are the controller's records.
func (s *show) nics(ctx context.Context) ([]api.NICView, error) {
	return listed[api.NICView](ctx, s.lab.CLI, "nics")
}

// listed are all that the controller has of a kind.
func listed[T any](ctx context.Context, nicferry story.CLI, kind string) ([]T, error) {
	out, err := nicferry(ctx, "get", kind, "-o", "json")
	if err != nil {
		return nil, err
	}
	var list api.List[T]
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read the %s: %w", kind, err)
	}
	return list.Items, nil
}

// interfaceOf is the cloud's id of a NIC.
func (s *show) interfaceOf(ctx context.Context, id nic.ID) (string, error) {
	all, err := s.nics(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range all {
		if n.ID == id && n.Seen.ProviderID != "" {
			return n.Seen.ProviderID, nil
		}
	}
	return "", fmt.Errorf("the record of NIC %s does not say which interface it is", id)
}

// spareOn waits until a guest has a NIC in reserve.
func (s *show) spareOn(ctx context.Context, guest string) error {
	_, err := story.Until(ctx, "a NIC in reserve on "+guest, patience, func() (bool, bool, error) {
		all, err := s.nics(ctx)
		for _, n := range all {
			if n.Node == guest && n.Phase == nic.PhaseSpare {
				return true, true, nil
			}
		}
		if err == nil {
			err = fmt.Errorf("%d NICs, of which none is in reserve there", len(all))
		}
		return false, false, errors.Join(err, retry.Sleep(ctx, askEvery))
	})
	return err
}

// allReturned waits until there is no claim and the cloud has no interface any
// more, as its log says. The records of the NICs stay for as long as a cloud may hide
// what it has, two minutes, and so does the claim of one whose deletion got no reply.
func (s *show) allReturned(ctx context.Context) error {
	_, err := story.Until(ctx, "all interfaces to be deleted", 2*patience, func() (bool, bool, error) {
		claims, err := s.names(ctx, "claims")
		all, err2 := s.nics(ctx)
		log, err3 := s.calls(ctx, 0)
		if err := errors.Join(err, err2, err3); err != nil {
			return false, false, err
		}
		left := append(claims, accounted(log, *s.vendor).orphans...)
		for _, n := range all {
			if n.Phase != nic.PhaseRetiring {
				left = append(left, fmt.Sprintf("%s, which is %s", n.ID, n.Phase))
			}
		}
		if len(left) == 0 {
			return true, true, nil
		}
		return false, false, errors.Join(fmt.Errorf("there are %s", strings.Join(left, ", ")), retry.Sleep(ctx, 10*askEvery))
	})
	return err
}
