package providertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// faultCases: each op fails once in each way, and the same call again succeeds.
func faultCases() []testCase {
	var cs []testCase
	for _, op := range []string{opCreate, opAttach, opDetach, opDelete, opGet, opList, opLimits} {
		for _, fault := range []struct {
			name string
			kind error
		}{
			{"Throttled", provider.ErrThrottled},
			{"Denied", provider.ErrDenied},
			{"Unknown", provider.ErrUnknown},
		} {
			cs = append(cs, testCase{
				fmt.Sprintf("F02_Fail/%s/%s", op, fault.name),
				func(b *bench) { failOnce(b, op, fault.kind) },
			})
		}
	}
	for _, op := range []string{opCreate, opAttach, opDetach, opDelete} {
		cs = append(cs, testCase{"F03_LostReply/" + op, func(b *bench) { loseOnce(b, op) }})
	}
	return cs
}

func failOnce(b *bench, op string, kind error) {
	id := b.ready(op)
	if b.Fail != nil {
		b.Fail(op, kind)
		b.wantKind(op, errorID(op, id), b.do(b.ctx, op, id), kind)
	}
	b.must(b.repeated(op, id))
	b.wantDone(op, id)
}

func loseOnce(b *bench, op string) {
	id := b.ready(op)
	if b.Lose != nil {
		b.Lose(op)
		b.wantKind(op, errorID(op, id), b.do(b.ctx, op, id), provider.ErrUnknown)
	}
	b.restart()
	switch err := b.repeated(op, id); {
	case err == nil:
	case op == opAttach && errors.Is(err, provider.ErrBusy): // on its way there
	case op == opDelete && errors.Is(err, provider.ErrNotFound): // gone already
	default:
		b.t.Fatal(err)
	}
	b.wantDone(op, id)
}

func cancelled(b *bench) {
	dead, cancel := context.WithCancel(b.ctx)
	cancel()
	for _, op := range []string{opCreate, opAttach, opDetach, opDelete, opGet, opList, opLimits} {
		id := b.ready(op)
		begin := time.Now()
		for range 2 {
			err := b.do(dead, op, id)
			b.wantKind(op, errorID(op, id), err, provider.ErrUnknown)
			if !errors.Is(err, context.Canceled) {
				b.t.Errorf("%s with a cancelled context: %v does not say so", op, err)
			}
		}
		if took := time.Since(begin); took > time.Second {
			b.t.Errorf("%s took %s with a cancelled context", op, took)
		}
		b.must(b.repeated(op, id))
		b.must(b.remove(id))
	}
}

// ready makes a NIC that op can be called for.
func (b *bench) ready(op string) nic.ID {
	b.t.Helper()
	switch op {
	case opCreate:
		return b.newID()
	case opAttach, opDelete:
		return b.created()
	default:
		return b.attached(b.Places[0])
	}
}

// do calls op once.
func (b *bench) do(ctx context.Context, op string, id nic.ID) error {
	var err error
	switch op {
	case opCreate:
		_, err = b.Provider.Create(ctx, b.spec(id))
	case opAttach:
		_, err = b.Provider.Attach(ctx, id, b.Places[0])
	case opDetach:
		err = b.Provider.Detach(ctx, id, b.Places[0].Instance)
	case opDelete:
		err = b.Provider.Delete(ctx, id)
	case opGet:
		_, err = b.Provider.Get(ctx, id)
	case opList:
		_, err = b.Provider.List(ctx)
	case opLimits:
		_, err = b.Provider.Limits(ctx, b.Places[0].Instance)
	default:
		b.t.Fatalf("no op %q", op)
	}
	return err
}

// repeated calls op, again and again where it may be refused as busy; see
// detaching.
func (b *bench) repeated(op string, id nic.ID) error {
	if op == opDetach {
		return b.detaching(id, b.Places[0].Instance)
	}
	return b.do(b.ctx, op, id)
}

// wantDone demands op's outcome, on exactly one NIC.
func (b *bench) wantDone(op string, id nic.ID) {
	b.t.Helper()
	switch op {
	case opCreate:
		b.until(id, nic.StateAvailable, nic.StateCreating)
	case opDetach:
		b.nodeClean(b.Places[0].Instance, id, true)
		b.until(id, nic.StateAvailable, nic.StateDetaching)
	case opDelete:
		wantGone(b, id)
		b.wantListed()
		return
	default:
		b.until(id, nic.StateAttached, nic.StateAttaching)
	}
	b.wantListed(id)
}

// errorID is the id that an error of op carries.
func errorID(op string, id nic.ID) nic.ID {
	switch op {
	case opGet, opList, opLimits:
		return ""
	}
	return id
}
