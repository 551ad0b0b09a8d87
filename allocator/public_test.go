package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// publicOf are all public addresses in a cloud.
func publicOf(cloud *fake.Provider) map[nic.ClaimID]netip.Addr {
	all := map[nic.ClaimID]netip.Addr{}
	for claim, p := range cloud.Public() {
		all[claim] = p.Addr
	}
	return all
}

// publicly is bubble with claims of web that get public addresses.
func publicly(t *testing.T, cloud fake.Options, test func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, cloud, func(t *testing.T, r *rig) {
		r.change("web", func(n *nic.Network) { n.Cloud.PublicIP = true })
		test(t, r)
	})
}

// public wants a claim to have a public address that leads to its NIC, and returns
// it.
func (r *rig) public(id nic.ClaimID) netip.Addr {
	r.t.Helper()
	claim, is := r.claim(id), r.cloud.Public()[id]
	if !claim.Identity.Public.IsValid() || claim.Identity.Public != is.Addr || is.NIC != claim.NIC {
		r.t.Fatalf("public is %+v, and the claim %+v", is, claim)
	}
	if slices.Contains(reasons(claim.Conditions), nic.ReasonNoPublicAddress) {
		r.t.Errorf("it has its address and says %+v", claim.Conditions)
	}
	return is.Addr
}

// noPublic wants a claim to work without its public address, and to say why.
func (r *rig) noPublic(id nic.ClaimID, phase nic.ClaimPhase, says string) {
	r.t.Helper()
	claim := r.claim(id)
	if claim.Phase != phase || reason(claim) != nic.ReasonNoPublicAddress || !strings.Contains(claim.Conditions[0].Message, says) || claim.Identity.Public.IsValid() {
		r.t.Errorf("the claim is %+v; want it %s without public address, for %q", claim, phase, says)
	}
}

// A claim's public address stays through stop, hold, restart, and the controller's
// death, leads to whatever NIC the claim has, and ends with it.
func TestAPublicAddressLivesAsLongAsItsClaim(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{Latency: fake.Latency{Attach: time.Second}, CallTime: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
		l := r.heard()
		claim := r.bound("a001", "web")
		r.wait(time.Second)
		addr, first := r.public(claim.ID), claim.NIC
		r.report(claim, nic.ObservedIn, false)
		r.wait(30 * time.Second) // the hold
		if got := r.public(claim.ID); got != addr {
			t.Errorf("stopped it has %s; want %s", got, addr)
		}
		r.wait(40 * time.Second)
		r.report(claim, nic.ObservedClean, false)
		r.wait(10 * time.Second)
		if now, is := r.claim(claim.ID), r.cloud.Public()[claim.ID]; now.NIC != "" || now.Identity.Public != addr || is != (fake.Public{Addr: addr}) {
			t.Errorf("after the hold the address is %+v, and the claim %+v", is, now)
		}
		r.crash()
		again := r.bound("a001", "web")
		r.wait(time.Second)
		if got := r.public(claim.ID); got != addr || again.NIC == first || again.ID != claim.ID {
			t.Errorf("started again it has %s, and was %s; %+v", got, addr, again)
		}
		if n := r.cloud.Counts()[fake.OpPublish]; n.Calls != 2 || n.Effects != 2 {
			t.Errorf("it was asked for %+v", n)
		}
		r.crash() // which asks for nothing
		r.wait(time.Minute)
		if n := r.cloud.Counts()[fake.OpPublish]; n.Calls != 2 {
			t.Errorf("it was asked for %+v", n)
		}
		r.remove(claim.ID)
		r.wait(10 * time.Second)
		r.empty()
		told := toldBy(l, func(e api.Event) bool { return e.Claim == claim.ID && strings.HasPrefix(string(e.Reason), "Public") })
		if told != "PublicAddress" { // the others were told by others
			t.Errorf("told was %q", told)
		}
	})
}

// F03: a lost reply makes no second address, and leaves none, whenever the container
// goes.
func TestF03_APublicAddressWithALostReply(t *testing.T) {
	t.Parallel()
	for _, op := range []string{fake.OpPublish, fake.OpUnpublish} {
		for _, goes := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Minute} {
			publicly(t, fake.Options{CallTime: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
				r.cloud.Lose(op)
				claim := r.acquire("a001", "web")
				r.wait(goes)
				if goes == time.Minute {
					r.public(claim.ID)
				}
				r.release(claim.ID)
				r.live(2 * time.Second)
				r.wait(time.Minute)
				r.empty()
				if n := r.cloud.Counts()[fake.OpPublish].Effects; n > 1 {
					t.Errorf("%d addresses were made", n)
				}
			})
		}
	}
}

// F50: the controller dies at any time of a public address's life, and nothing is
// made twice, lost or left.
func TestF50_APublicAddressAndACrash(t *testing.T) {
	t.Parallel()
	step := 37 * time.Millisecond
	if long() {
		step = 3 * time.Millisecond
	}
	for at := time.Duration(0); at < 450*time.Millisecond; at += step {
		publicly(t, fake.Options{CallTime: 30 * time.Millisecond}, func(t *testing.T, r *rig) {
			claim := r.acquire("a001", "web")
			r.wait(at)
			r.crash()
			r.live(2 * time.Second)
			addr := r.public(claim.ID)
			r.release(claim.ID)
			r.wait(at)
			r.crash()
			r.live(2 * time.Second)
			r.empty()
			if got := r.cloud.Counts()[fake.OpPublish].Effects; got != 1 || addr != netip.MustParseAddr("203.0.113.1") {
				t.Errorf("killed after %s: %d addresses, the claim had %s", at, got, addr)
			}
		})
	}
}

// F17: an account has few public addresses. A claim beyond that works without, says
// why and what to do, and gets one when there is one.
func TestF17_PublicAddressesRunOut(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{PublicQuota: 1}, func(t *testing.T, r *rig) {
		first, second := r.bound("a001", "web"), r.bound("a002", "web")
		r.wait(time.Second)
		r.public(first.ID)
		r.noPublic(second.ID, nic.ClaimBound, "have its quota raised")
		before := r.cloud.Counts()[fake.OpPublish].Calls
		r.wait(10 * time.Minute)
		if n := r.cloud.Counts()[fake.OpPublish].Calls - before; n < 9 || n > 11 {
			t.Errorf("it was asked for %d times in ten minutes", n)
		}
		r.remove(first.ID)
		r.wait(time.Minute)
		r.public(second.ID)
		r.remove(second.ID)
		r.wait(time.Second)
		r.empty()
	})
}

// Whatever the provider says, the claim works, says it, and has its address once the
// provider gives it; and ends, although its address cannot be given back.
func TestF02_APublicAddressAndEachError(t *testing.T) {
	t.Parallel()
	for kind, says := range map[error]string{
		provider.ErrThrottled: "throttled", provider.ErrBusy: "busy", provider.ErrDenied: "policy for public addresses", provider.ErrElsewhere: "take that away",
		provider.ErrUnknown: "answer is missing", provider.ErrInvalid: "invalid", provider.ErrUnsupported: "unsupported", provider.ErrNotFound: "not found",
	} {
		publicly(t, fake.Options{}, func(t *testing.T, r *rig) {
			const times = 8 // asked again so soon that three would be over before the claim is looked at
			for range times {
				r.cloud.Fail(fake.OpPublish, kind)
				r.cloud.Fail(fake.OpUnpublish, kind)
			}
			claim := r.bound("a001", "web")
			r.noPublic(claim.ID, nic.ClaimBound, says)
			r.wait(20 * time.Minute)
			addr := r.public(claim.ID)
			r.remove(claim.ID)
			r.wait(100 * time.Millisecond)
			if len(r.cloud.Public()) > 0 {
				left := r.audit(false, api.FindingPublicLeft, api.FindingNodeSilent)
				if text := fmt.Sprint(left); !strings.Contains(text, addr.String()) || !strings.Contains(text, says) || !strings.Contains(text, "costs money") {
					t.Errorf("left is %s", text)
				}
			}
			r.wait(20 * time.Minute)
			r.empty()
		})
	}
}

// A plain provider gives no public addresses.
type plain struct{ provider.Provider }

func TestAProviderWithoutPublicAddresses(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.via = plain{r.cloud}
		r.crash()
		claim := r.bound("a001", "web")
		r.noPublic(claim.ID, nic.ClaimBound, "gives no public addresses")
		r.via = nil // it does by now
		r.crash()
		r.wait(time.Second)
		r.public(claim.ID)
		r.remove(claim.ID)
		r.wait(time.Second)
		r.empty()
	})
}

// A shy provider does not show a public address before it is two minutes old.
type shy struct {
	*fake.Provider
	made map[nic.ClaimID]time.Time
}

func (s shy) Info() provider.Info {
	i := s.Provider.Info()
	i.VisibleAfter = 2 * time.Minute
	return i
}

func (s shy) Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (netip.Addr, error) {
	if _, known := s.made[claim]; !known {
		s.made[claim] = time.Now()
	}
	return s.Provider.Publish(ctx, claim, id)
}

func (s shy) Unpublish(ctx context.Context, claim nic.ClaimID) error {
	if time.Since(s.made[claim]) < 2*time.Minute {
		return ctx.Err()
	}
	return s.Provider.Unpublish(ctx, claim)
}

// That there is none is no proof as long as a young one may not show.
func TestAYoungPublicAddressIsGivenBack(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.via = shy{r.cloud, map[nic.ClaimID]time.Time{}}
		r.crash()
		claim := r.bound("a001", "web")
		r.wait(time.Second)
		r.report(r.release(claim.ID), nic.ObservedClean, false)
		r.wait(time.Minute)
		if len(r.cloud.Public()) == 0 {
			t.Error("it is gone before it shows")
		}
		r.crash()
		r.wait(3 * time.Minute)
		r.empty()
	})
}

// What its config says later holds for claims that have a NIC; what a claim has, it
// keeps.
func TestPublicAddressesAreSwitchedOnAndOff(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.bound("a001", "web")
		r.wait(time.Minute)
		if now := r.claim(claim.ID); now.Identity.Public.IsValid() || len(r.cloud.Public()) > 0 {
			t.Errorf("nobody asked for %+v", now.Identity)
		}
		r.change("web", func(n *nic.Network) { n.Cloud.PublicIP = true })
		r.wait(time.Second)
		addr := r.public(claim.ID)
		r.change("web", func(n *nic.Network) { n.Cloud.PublicIP = false })
		other := r.bound("a002", "web")
		r.wait(time.Minute)
		if got := r.public(claim.ID); got != addr || len(r.cloud.Public()) != 1 {
			t.Errorf("it has %s, and had %s; there are %v", got, addr, r.cloud.Public())
		}
		r.remove(other.ID)
		r.remove(claim.ID)
		r.wait(time.Second)
		r.empty()
	})
}

// The next container of a name gets the address and the MAC again, and another
// public address: that one is given back.
func TestAPublicAddressIsNotKeptForAName(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.change("web", func(n *nic.Network) { n.Keep = nic.Duration(time.Hour) })
		first := r.bound("a001", "web")
		r.wait(time.Second)
		addr := r.public(first.ID)
		first = r.claim(first.ID)
		r.remove(first.ID)
		r.wait(time.Second)
		other, err := r.alloc.Acquire(t.Context(), owner("a002"), "a001", nic.Request{Interface: "eth0", Network: "web"})
		if err != nil || other.Identity.Public.IsValid() {
			t.Errorf("the next one begins with %+v, %v", other.Identity, err)
		}
		r.wait(time.Second)
		if got := r.public(other.ID); got == addr || !sameIdentity(first, r.claim(other.ID)) {
			t.Errorf("the next one has %s and %+v; the first had %s and %+v", got, r.claim(other.ID).Identity, addr, first.Identity)
		}
	})
}

// A node that is gone for good leaves no public address.
func TestAForgottenNodesPublicAddresses(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.bound("a001", "web")
		r.wait(5 * time.Minute)
		if len(r.cloud.Public()) != 1 {
			t.Errorf("there are %v", r.cloud.Public())
		}
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.empty()
	})
}

// Two that differ are told by name: what is there and has no record is given back, or
// to its claim; what is on record and not there is made anew. Nothing is concluded
// from a provider that does not answer.
func TestF01_TheSweepMendsPublicAddresses(t *testing.T) {
	t.Parallel()
	publicly(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.bound("a001", "web")
		r.wait(time.Second)
		r.sweeping()
		defer r.answers(allOf(claim))()
		r.audit(false)
		leak := nic.NewClaimID()
		r.cloud.PlantPublic(leak)
		r.wait(time.Second)
		found := r.audit(false, api.FindingPublicUnrecorded)
		if f := found[0]; f.Claim != leak || f.Remedy == "" || !strings.Contains(f.Message, "costs money") {
			t.Errorf("found %+v", f)
		}
		r.cloud.Fail(fake.OpPublished, errors.New("no answer"))
		r.audit(true, api.FindingProviderUnreachable)
		r.wait(sweepEvery)
		if len(r.cloud.Public()) != 2 {
			t.Errorf("before its grace is over there are %v", r.cloud.Public())
		}
		r.wait(3 * sweepEvery)
		if len(r.cloud.Public()) != 1 {
			t.Errorf("two sweeps later there are %v", r.cloud.Public())
		}
		was := r.public(claim.ID)
		r.cloud.LosePublic(claim.ID)
		r.audit(true, api.FindingPublicNotAtProvider)
		r.wait(time.Second)
		if now := r.public(claim.ID); now == was {
			t.Errorf("the cloud has given %s a second time", now)
		}
		r.audit(true)
	})
}

// The record is lost, such as with a store that is put back, and the claim is there:
// it keeps its address.
func TestF01_APublicAddressIsFoundForItsClaim(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.bound("a001", "web")
		r.cloud.PlantPublic(claim.ID)
		r.change("web2", func(n *nic.Network) { n.Cloud.PublicIP = true })
		r.wait(time.Second)
		defer r.answers(allOf(claim))()
		r.audit(true, api.FindingPublicUnrecorded)
		r.wait(time.Second)
		if got := r.public(claim.ID); got != netip.MustParseAddr("203.0.113.1") {
			t.Errorf("the claim has %s", got)
		}
		r.audit(false)
	})
}
