package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// publicCases are for providers that are a provider.Publisher; the others pass them.
func publicCases() []testCase {
	cs := []testCase{
		{"Public/OneForAClaim", publicOnce},
		{"Public/StaysWithItsNIC", publicStays},
		{"Public/PassesToAnotherNIC", publicPasses},
		{"Public/OutlivesItsNIC", publicOutlives},
		{"Public/NotOfANICThatIsNotThere", publicUnknown},
		{"Public/NICOfAnotherClaim", publicTaken},
		{"Public/SurvivesRestart", publicRestart},
	}
	for _, op := range []string{opPublish, opUnpublish} {
		cs = append(cs, testCase{"F03_Public/LostReply/" + op, func(b *bench) { losePublic(b, op) }})
	}
	for _, op := range []string{opPublish, opUnpublish, opPublished} {
		for _, kind := range []error{provider.ErrThrottled, provider.ErrDenied, provider.ErrUnknown} {
			cs = append(cs, testCase{fmt.Sprintf("F02_Public/Fail/%s/%s", op, kind), func(b *bench) { failPublic(b, op, kind) }})
		}
	}
	for i, c := range cs {
		cs[i].run = func(b *bench) {
			if _, ok := provider.As[provider.Publisher](b.Provider); ok {
				b.t.Cleanup(b.unpublishAll)
				c.run(b)
			}
		}
	}
	return cs
}

// publisher is the provider, after a restart too.
func (b *bench) publisher() provider.Publisher {
	p, _ := provider.As[provider.Publisher](b.Provider)
	return p
}

// unpublishAll gives back what the case has made, and demands that nothing is left.
func (b *bench) unpublishAll() {
	ctx := context.WithoutCancel(b.ctx)
	var left map[nic.ClaimID]netip.Addr
	for range maxSettles {
		var err error
		if left, err = b.publisher().Published(ctx); err != nil {
			b.t.Error(err)
		}
		if len(left) == 0 {
			return
		}
		for claim := range left {
			if err := b.publisher().Unpublish(ctx, claim); err != nil && !errors.Is(err, provider.ErrBusy) {
				b.t.Error(err)
			}
		}
		b.settle()
	}
	b.t.Errorf("these are published for ever: %v", left)
}

// publish publishes as its owner does: again while the NIC is young, or the provider
// is at it.
func (b *bench) publish(claim nic.ClaimID, id nic.ID) netip.Addr {
	b.t.Helper()
	var err error
	for range maxSettles {
		var addr netip.Addr
		addr, err = b.publisher().Publish(b.ctx, claim, id)
		if err == nil {
			if !addr.IsValid() {
				b.t.Fatal("Publish says no address")
			}
			return addr
		}
		if !errors.Is(err, provider.ErrBusy) && !errors.Is(err, provider.ErrNotFound) {
			break
		}
		b.settle()
	}
	b.t.Fatal(err)
	return netip.Addr{}
}

func (b *bench) unpublish(claim nic.ClaimID) {
	b.t.Helper()
	b.must(b.again(func() error { return b.publisher().Unpublish(b.ctx, claim) }, provider.ErrBusy))
}

// wantPublished demands that Published returns these, once it shows them.
func (b *bench) wantPublished(want map[nic.ClaimID]netip.Addr) {
	b.t.Helper()
	var got map[nic.ClaimID]netip.Addr
	for range maxSettles {
		var err error
		got, err = b.publisher().Published(b.ctx)
		b.must(err)
		if maps.Equal(got, want) {
			return
		}
		b.settle()
	}
	b.t.Errorf("published are %v; want %v", got, want)
}

// publicOnce: however often it is asked for, a claim has one, and gives it back once.
func publicOnce(b *bench) {
	claim, other := nic.NewClaimID(), nic.NewClaimID()
	first, second := b.attached(b.Places[0]), b.attached(b.Places[1])
	b.unpublish(claim) // that there is none is no error
	b.wantPublished(nil)
	one := b.publish(claim, first)
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: one})
	if again := b.publish(claim, first); again != one {
		b.t.Errorf("the claim has %s, and then %s", one, again)
	}
	two := b.publish(other, second)
	if one == two {
		b.t.Errorf("two claims have %s", one)
	}
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: one, other: two})
	b.unpublish(claim)
	b.wantPublished(map[nic.ClaimID]netip.Addr{other: two})
	b.unpublish(claim)
	b.wantPublished(map[nic.ClaimID]netip.Addr{other: two})
}

// publicStays: it goes along wherever its NIC is plugged in.
func publicStays(b *bench) {
	claim := nic.NewClaimID()
	id := b.attached(b.Places[0])
	addr := b.publish(claim, id)
	want := map[nic.ClaimID]netip.Addr{claim: addr}
	b.wantPublished(want)
	b.detach(id, b.Places[0].Instance)
	b.wantPublished(want)
	b.attach(id, b.Places[1])
	b.wantPublished(want)
	if again := b.publish(claim, id); again != addr {
		b.t.Errorf("carried, the claim has %s; want %s", again, addr)
	}
}

// publicPasses: another NIC of the claim gets it.
func publicPasses(b *bench) {
	claim, other := nic.NewClaimID(), nic.NewClaimID()
	first, second := b.created(), b.created()
	addr := b.publish(claim, first)
	if moved := b.publish(claim, second); moved != addr {
		b.t.Errorf("on its next NIC the claim has %s; want %s", moved, addr)
	}
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: addr})
	theirs := b.publish(other, first) // it leads there no more
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: addr, other: theirs})
}

// publicOutlives: a NIC is deleted with its claim's address on it, which stays the
// claim's.
func publicOutlives(b *bench) {
	claim := nic.NewClaimID()
	first := b.attached(b.Places[0])
	addr := b.publish(claim, first)
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: addr})
	b.must(b.remove(first))
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: addr})
	if again := b.publish(claim, b.attached(b.Places[0])); again != addr {
		b.t.Errorf("on its next NIC the claim has %s; want %s", again, addr)
	}
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: addr})
}

func publicUnknown(b *bench) {
	gone := b.created()
	b.must(b.remove(gone))
	for _, id := range []nic.ID{gone, nic.NewID()} {
		_, err := b.publisher().Publish(b.ctx, nic.NewClaimID(), id)
		b.wantKind(opPublish, id, err, provider.ErrNotFound)
	}
	b.wantPublished(nil)
	b.wantKind(opUnpublish, "", b.publisher().Unpublish(b.ctx, "clm-*"), provider.ErrInvalid)
}

// publicTaken: nobody's address is taken from its NIC for another claim.
func publicTaken(b *bench) {
	claim, other := nic.NewClaimID(), nic.NewClaimID()
	id := b.created()
	addr := b.publish(claim, id)
	_, err := b.publisher().Publish(b.ctx, other, id)
	b.wantKind(opPublish, id, err, provider.ErrElsewhere)
	if again := b.publish(claim, id); again != addr {
		b.t.Errorf("then the claim has %s; want %s", again, addr)
	}
	b.unpublish(claim)
	b.settle()
	b.publish(other, id)
}

func publicRestart(b *bench) {
	claim := nic.NewClaimID()
	id := b.attached(b.Places[0])
	addr := b.publish(claim, id)
	b.restart()
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: addr})
	if again := b.publish(claim, id); again != addr {
		b.t.Errorf("after a restart the claim has %s; want %s", again, addr)
	}
	b.restart()
	b.unpublish(claim)
	b.wantPublished(nil)
}

// readyPublic makes what op can be called for.
func (b *bench) readyPublic(op string, claim nic.ClaimID) nic.ID {
	b.t.Helper()
	id := b.attached(b.Places[0])
	if op != opPublish {
		b.wantPublished(map[nic.ClaimID]netip.Addr{claim: b.publish(claim, id)})
	}
	return id
}

func (b *bench) doPublic(op string, claim nic.ClaimID, id nic.ID) (of nic.ID, err error) {
	switch op {
	case opPublish:
		_, err = b.publisher().Publish(b.ctx, claim, id)
		return id, err
	case opUnpublish:
		return "", b.publisher().Unpublish(b.ctx, claim)
	}
	_, err = b.publisher().Published(b.ctx)
	return "", err
}

// doPublicIdle is doPublic once the provider is not at that address any more.
func (b *bench) doPublicIdle(op string, claim nic.ClaimID, id nic.ID) (of nic.ID, err error) {
	err = b.again(func() (err error) { of, err = b.doPublic(op, claim, id); return err }, provider.ErrBusy)
	return of, err
}

func (b *bench) wantPublicDone(op string, claim nic.ClaimID, id nic.ID) {
	b.t.Helper()
	if op == opUnpublish {
		b.unpublish(claim)
		b.wantPublished(nil)
		return
	}
	b.wantPublished(map[nic.ClaimID]netip.Addr{claim: b.publish(claim, id)})
}

func failPublic(b *bench, op string, kind error) {
	claim := nic.NewClaimID()
	id := b.readyPublic(op, claim)
	if b.Fail != nil {
		b.Fail(op, kind)
		of, err := b.doPublicIdle(op, claim, id)
		b.wantKind(op, of, err, kind)
	}
	b.wantPublicDone(op, claim, id)
}

func losePublic(b *bench, op string) {
	claim := nic.NewClaimID()
	id := b.readyPublic(op, claim)
	if b.Lose != nil {
		b.Lose(op)
		of, err := b.doPublicIdle(op, claim, id)
		b.wantKind(op, of, err, provider.ErrUnknown)
	}
	b.restart()
	b.wantPublicDone(op, claim, id)
}
