package allocator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/nic"
)

// numberQuarantine is how long a number that was given back is given to nobody:
// switches may still know frames by it.
const numberQuarantine = time.Minute

// TakeNumber gives owner a number of the kind that nobody else has in the
// scope, which is whatever shares the wire; the same one for as long as owner
// has it. It returns ErrExhausted with how full the scope is, and who has the
// numbers.
func (a *Allocator) TakeNumber(ctx context.Context, kind ipam.NumberKind, scope, owner string) (ipam.Number, error) {
	if err := checkNumber(kind, scope, owner); err != nil {
		return 0, err
	}
	var number ipam.Number
	err := a.atomically(ctx, func(e *edit) error {
		has, _, found, err := get[ipam.Number](e, numberOfKey(kind, scope, owner))
		if number = has; err != nil || found {
			return err
		}
		got, none, err := a.numbers(kind, scope).choose(e)
		if err != nil {
			return err
		}
		if none != nil {
			return fmt.Errorf("%w: %s", ErrExhausted, a.noNumber(e, kind, scope, *none))
		}
		number = got.key
		e.put(numberKey(kind, scope, number), nic.Reservation{Schema: nic.Schema, Owner: owner}, got.rev)
		e.create(numberOfKey(kind, scope, owner), number)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("take a %s number for %s: %w", kind, owner, err)
	}
	return number, nil
}

// ReturnNumber takes back the number that owner has, if it has one. Others get
// it after a quarantine.
func (a *Allocator) ReturnNumber(ctx context.Context, kind ipam.NumberKind, scope, owner string) error {
	if err := checkNumber(kind, scope, owner); err != nil {
		return err
	}
	return a.atomically(ctx, func(e *edit) error {
		number, rev, found, err := get[ipam.Number](e, numberOfKey(kind, scope, owner))
		if err != nil || !found {
			return err
		}
		e.delete(numberOfKey(kind, scope, owner), rev)
		r, rev, found, err := get[nic.Reservation](e, numberKey(kind, scope, number))
		if err != nil || !found || r.Owner != owner {
			return err
		}
		r.Free = a.now().Add(numberQuarantine)
		r.Until = r.Free
		e.update(numberKey(kind, scope, number), r, rev)
		return nil
	})
}

func checkNumber(kind ipam.NumberKind, scope, owner string) error {
	var unknown error
	if kind.Spans() == nil {
		unknown = fmt.Errorf("no numbers of kind %q", kind)
	}
	if err := errors.Join(unknown, nic.CheckName("scope", scope), nic.CheckName("owner", owner)); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func (a *Allocator) numbers(kind ipam.NumberKind, scope string) choosing[ipam.Number] {
	return choosing[ipam.Number]{
		taken:  a.taken,
		pool:   func() *ipam.Pool[ipam.Number] { return poolOf(a.taken.numbers, string(kind)+"/"+scope) },
		spans:  kind.Spans(),
		record: func(n ipam.Number) string { return numberKey(kind, scope, n) },
	}
}

func (a *Allocator) noNumber(e *edit, kind ipam.NumberKind, scope string, none shortage[ipam.Number]) string {
	var holders []string
	for _, n := range none.held {
		if r, _, found, err := get[nic.Reservation](e, numberKey(kind, scope, n)); err == nil && found {
			holders = append(holders, r.Owner)
		}
	}
	all := kind.Spans()[0]
	return ipam.Full(fmt.Sprintf("every %s number %d-%d of %s is taken", kind, all.First, all.Last, scope), none.use, holders)
}
