package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// publishing is a provider that is asked for public addresses, each time within
// its own bound.
type publishing struct {
	provider.Publisher
	a    *Allocator
	name string
	info provider.Info
}

// errNoPublisher is for a provider that cannot be asked, as the config is.
var errNoPublisher = errors.New("public addresses wait until the config is mended")

// publisher is the provider of that name, if it gives public addresses.
func (a *Allocator) publisher(name string) (publishing, error) {
	p, ok := a.opts.Providers[name]
	if !ok {
		return publishing{}, fmt.Errorf("no provider %q in the controller's config: %w", name, errNoPublisher)
	}
	publisher, ok := provider.As[provider.Publisher](p)
	if !ok {
		return publishing{}, fmt.Errorf("provider %s gives no public addresses: %w", name, errNoPublisher)
	}
	return publishing{publisher, a, name, p.Info()}, nil
}

func (p publishing) call(ctx context.Context, verb string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callsPerRun*cmp.Or(p.info.WorstCall, 30*time.Second))
	defer cancel()
	if err := p.a.opts.Holds(ctx); err != nil {
		return notLeading(p.name, verb, "", err)
	}
	start := time.Now()
	err := do(ctx)
	observed{name: p.name, by: p.a.opts.Observer}.tell(verb, start, err)
	p.a.reached(p.name, err)
	return err
}

// Publish is the provider's.
func (p publishing) Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (addr netip.Addr, err error) {
	err = p.call(ctx, "publish", func(ctx context.Context) error { addr, err = p.Publisher.Publish(ctx, claim, id); return err })
	return addr, err
}

// Unpublish is the provider's.
func (p publishing) Unpublish(ctx context.Context, claim nic.ClaimID) error {
	return p.call(ctx, "unpublish", func(ctx context.Context) error { return p.Publisher.Unpublish(ctx, claim) })
}

// Published is the provider's.
func (p publishing) Published(ctx context.Context) (all map[nic.ClaimID]netip.Addr, err error) {
	err = p.call(ctx, "published", func(ctx context.Context) error { all, err = p.Publisher.Published(ctx); return err })
	return all, err
}

// How long a provider is left alone that has said no, and one that may have made an
// address and not said so: another is not made before the first one shows.
const (
	publicAgain  = time.Minute
	unknownAgain = 10 * time.Second
)

// What is the matter with an address that is not as it is to be.
const (
	publicMissing = "the claim's public address is missing"
	publicLeft    = "the claim's public address is not given back, and costs money until it is"
)

// publicFailed notes why an address is not as it is to be, and says when it is
// tried again. Nothing is given up: as long as it is not as it is to be, somebody
// needs it, or pays for it.
func (a *Allocator) publicFailed(ctx context.Context, pub nic.Publication, what string, err error) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, err
	}
	help, again := publicHelp(err)
	asked := pub.Asked
	if what == publicMissing {
		asked = a.now() // it may have been made all the same
	}
	c := a.because(nic.ReasonNoPublicAddress, "%s: %s%s", what, help, withoutRequest(err))
	if again > 0 {
		c.Deadline = a.now().Add(again)
	}
	news := false
	noteErr := a.asLeader(ctx, func(e *edit) error {
		now, rev, found, readErr := get[nic.Publication](e, publicKey(pub.Claim))
		if readErr != nil || !found {
			return readErr
		}
		news = !slices.ContainsFunc(now.Conditions, func(o nic.Condition) bool { return o.Message == c.Message })
		if nic.SetCondition(&now.Conditions, *c) {
			now.Asked = asked
			e.update(publicKey(pub.Claim), now, rev)
		}
		return nil
	})
	switch {
	case noteErr != nil:
		return 0, errors.Join(err, noteErr)
	case again == 0:
		return 0, err
	case news:
		a.opts.Log.Warn("public address is not as it is to be", "claim", pub.Claim, "nic", pub.NIC, "addr", pub.Addr, "provider", pub.Provider,
			"again", again, "message", c.Message, "err", err)
	}
	return again, nil
}

// withoutRequest is what an error says each time: the number of the request is for
// the log.
func withoutRequest(err error) string {
	if pe, ok := errors.AsType[*provider.Error](err); ok && pe.RequestID != "" {
		said := *pe
		said.RequestID = ""
		return said.Error()
	}
	return err.Error()
}

// publicHelp says what a person can do about an error, and when to try again; 0 for
// soon, and then less and less often.
func publicHelp(err error) (help string, again time.Duration) {
	switch {
	case errors.Is(err, provider.ErrExhausted):
		help = "the account may have no more: give back some that lead nowhere, which cost money too, or have its quota raised; tried again each minute: "
	case errors.Is(err, provider.ErrDenied):
		help = "the controller is not permitted to; its credentials need a policy for public addresses: "
	case errors.Is(err, provider.ErrElsewhere):
		help = "somebody else's leads to the NIC: take that away: "
	case errors.Is(err, provider.ErrUnknown):
		return "the provider's answer is missing: ", max(unknownAgain, retryAfter(err))
	case errors.Is(err, provider.ErrInvalid), errors.Is(err, provider.ErrUnsupported), errors.Is(err, errNoPublisher):
	default:
		return "", retryAfter(err)
	}
	return help, max(publicAgain, retryAfter(err))
}

// publicTrouble is what stands between a claim and its public address.
func (a *Allocator) publicTrouble(ctx context.Context, claim nic.Claim) ([]nic.Condition, error) {
	if claim.NIC == "" || !a.publishes.Load() { // without a NIC nothing is tried
		return nil, nil
	}
	pub, _, _, err := get[nic.Publication](a.reader(ctx), publicKey(claim.ID))
	return pub.Conditions, err
}

// stillPublic says whether a NIC that others are to have waits for its claim's
// public address to be given back: it would lead to them. stuck is that it cannot be
// given back now.
func stillPublic(e *edit, claim nic.ClaimID) (wait, stuck bool, err error) {
	pub, _, found, err := get[nic.Publication](e, publicKey(claim))
	return found && !pub.Returned, len(pub.Conditions) > 0, err
}

// public tells of what becomes of a claim's public address.
func (n news) public(op store.Op) {
	was, _ := as[nic.Publication](n.e.read, op.Key)
	now, written := as[nic.Publication](n.e.written, op.Key)
	if !written {
		now = was
	}
	of := api.Event{Claim: now.Claim, NIC: now.NIC, Container: now.Container, Network: now.Network, Node: now.Node, Tenant: now.Tenant}
	switch back := op.Kind == store.OpDelete || now.Returned && !was.Returned; {
	case back && was.Addr.IsValid():
		n.add(of, "PublicAddressReturned", "its provider has %s back", was.Addr)
	case written && now.Addr.IsValid() && (now.Addr != was.Addr || now.NIC != was.NIC):
		n.add(of, "PublicAddress", "%s leads to it", now.Addr)
	}
	n.conditions(of, was.Conditions, now.Conditions)
}
