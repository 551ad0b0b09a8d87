package vmagent

import (
	"context"
	"time"
)

// noOrders are carried out by an agent that is given none.
type noOrders struct{}

func (noOrders) Run(context.Context) {}

func (noOrders) Follow(ctx context.Context, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

func (noOrders) Wake() {}

func (noOrders) Busy() bool { return false }

func (noOrders) Ends(string) time.Time { return time.Time{} }
