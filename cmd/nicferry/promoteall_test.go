package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/nic"
)

// A promoter is a controller with two claims that fell back, on one node.
type promoter struct {
	*apitest.Backend
	address string
	// promote stands before the backend's own Promote, if not nil.
	promote func(id nic.ClaimID) error
	// unrested: a claim that is promoted does not get its network, as where no frame leaves.
	unrested bool
	looked   func() // at a claim

	mu    sync.Mutex
	asked []nic.ClaimID // to be promoted
}

const (
	olderClaim nic.ClaimID = "clm-00000000000000d0"
	newerClaim nic.ClaimID = "clm-00000000000000d2"
)

func newPromoter(t *testing.T) *promoter {
	t.Helper()
	p := &promoter{Backend: apitest.New(), looked: func() {}}
	for i, id := range []nic.ClaimID{olderClaim, newerClaim} {
		p.PutClaim(api.ClaimView{Claim: nic.Claim{
			ID: id, Container: []string{"older", "newer"}[i], NIC: nic.NewID(), Phase: nic.ClaimBound, Epoch: 1,
			Owner:      nic.Owner{Node: "metal", Kind: nic.OwnerContainer, Sandbox: "c1ffee0123456789", Interface: "eth0"},
			Conditions: []nic.Condition{{Reason: nic.ReasonFellBack, Message: "no VF was free", Since: time.Unix(int64(i), 0)}},
		}})
	}
	p.address = serveAt(t, server.Options{Backend: p})
	return p
}

func (p *promoter) Promote(ctx context.Context, id nic.ClaimID, dryRun bool) (api.Promotion, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, id)
	if p.promote != nil {
		if err := p.promote(id); err != nil {
			return api.Promotion{}, err
		}
	}
	return p.Backend.Promote(ctx, id, dryRun)
}

func (p *promoter) Claim(ctx context.Context, id nic.ClaimID) (api.ClaimView, error) {
	view, err := p.Backend.Claim(ctx, id)
	if p.unrested && len(view.Conditions) == 0 {
		view.Phase = nic.ClaimReady
	}
	p.looked()
	return view, err
}

// all runs promote --all, and is what became of each container.
func (p *promoter) all(t *testing.T, ctx context.Context, args ...string) (code int, outcomes map[string]promoted, errs string) {
	t.Helper()
	var out, said bytes.Buffer
	code = newApp(&out, &said).run(ctx, append([]string{"--controller", p.address, "promote", "--all", "-o", "json"}, args...))
	var list api.List[promoted]
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		t.Fatalf("%v: %s, %s", err, &out, &said)
	}
	outcomes = map[string]promoted{}
	for _, one := range list.Items {
		outcomes[one.Container] = one
	}
	return code, outcomes, said.String()
}

func (p *promoter) askedFor(id nic.ClaimID) (times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, asked := range p.asked {
		if asked == id {
			times++
		}
	}
	return times
}

// After a promotion that does not come to rest none is begun: the next one would lose its
// network too.
func TestPromoteAllStopsWhereOneDoesNotComeToRest(t *testing.T) {
	t.Parallel()
	p := newPromoter(t)
	p.unrested = true
	code, got, errs := p.all(t, t.Context(), "--yes", "--timeout", "5s")
	if code != exitTimedOut || got["older"].Outcome != outcomeGoingOn || got["newer"].Outcome != outcomeNotBegun {
		t.Errorf("exit code %d, %+v: %s", code, got, errs)
	}
	if !strings.Contains(got["older"].Why, "goes on by itself") || !strings.Contains(errs, "stopped, with 1 more not begun: claim "+string(olderClaim)) {
		t.Errorf("it says %+v, and %s", got, errs)
	}
	if n := p.askedFor(newerClaim); n != 0 {
		t.Errorf("the next one was asked for %d times", n)
	}
}

// Ctrl-C keeps the claim that is under way in the outcome.
func TestPromoteAllInterrupted(t *testing.T) {
	t.Parallel()
	p := newPromoter(t)
	ctx, interrupt := context.WithCancel(t.Context())
	p.unrested, p.looked = true, interrupt
	code, got, errs := p.all(t, ctx, "--yes", "--timeout", "5m")
	if code != exitInterrupted || got["older"].Outcome != outcomeGoingOn || got["newer"].Outcome != outcomeNotBegun {
		t.Errorf("exit code %d, %+v: %s", code, got, errs)
	}
}

// Where another NIC of the node is to get its VF first, it waits for its turn.
func TestPromoteAllWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	p := newPromoter(t)
	busy := 9 // more often than a client tries again by itself
	p.promote = func(id nic.ClaimID) error {
		if busy--; id == olderClaim && busy >= 0 {
			return &api.Error{Code: api.CodeUnavailable, Message: "has to wait; again in a moment"}
		}
		return nil
	}
	code, got, errs := p.all(t, t.Context(), "--yes", "--timeout", "5m")
	if code != exitOK || got["older"].Outcome != outcomePromoted || got["newer"].Outcome != outcomePromoted {
		t.Errorf("exit code %d, %+v: %s", code, got, errs)
	}
	// In vain: nothing has begun.
	p = newPromoter(t)
	p.promote = func(nic.ClaimID) error {
		return &api.Error{Code: api.CodeUnavailable, Message: "has to wait; again in a moment"}
	}
	code, got, errs = p.all(t, t.Context(), "--yes", "--timeout", "5s")
	if code == exitOK || got["older"].Outcome == outcomePromoted || got["newer"].Outcome != outcomeNotBegun {
		t.Errorf("in vain: exit code %d, %+v: %s", code, got, errs)
	}
	code, got, errs = p.all(t, t.Context(), "--timeout", "5m")
	if code != exitOK || got["older"].Outcome != outcomeKept || got["newer"].Outcome != outcomeKept {
		t.Errorf("only asked: exit code %d, %+v: %s", code, got, errs)
	}
}

// An outage on the way is an outage also where nothing was to be done.
func TestPromoteAllWithoutYesTellsAnOutage(t *testing.T) {
	t.Parallel()
	p := newPromoter(t)
	p.promote = func(id nic.ClaimID) error {
		if id == newerClaim {
			return &api.Error{Code: api.CodeInternal, Message: "the store is away"}
		}
		return nil
	}
	code, got, errs := p.all(t, t.Context())
	if code != exitFailed || got["older"].Outcome != outcomeCan || got["newer"].Outcome != outcomeNotBegun || strings.Contains(errs, "nothing was done") {
		t.Errorf("exit code %d, %+v: %s", code, got, errs)
	}
}
