package eni

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// float has the interface be one of those that may have the spec's floating addresses. It is
// for whichever Create finds it undone: another interface that is on its way to the same
// address makes it busy.
func (p *Provider) float(ctx context.Context, spec nic.Spec, f Interface) error {
	if len(spec.Cloud.Floating) == 0 {
		return nil
	}
	c := p.cloud.(Floater) //nolint:forcetypeassert // check has seen to it
	all, err := c.Floating(ctx, spec.Cloud.Floating)
	if err != nil {
		return err
	}
	for _, id := range spec.Cloud.Floating {
		members, there := all[id]
		if !there {
			return &provider.Error{
				Kind: provider.ErrInvalid, Scope: provider.ScopeAddress,
				Err: fmt.Errorf("no floating address %s: is it of this region and account, and may it be described?", id),
			}
		}
		if slices.Contains(members, f.ID) {
			continue
		}
		if err := c.Float(ctx, id, f); err != nil {
			if errors.Is(err, provider.ErrNotFound) && p.recent.of(spec.NIC).young() {
				err = busyInstead(err, retryYoung)
			}
			return err
		}
	}
	return nil
}

// sink ends that, before the interface is deleted.
func (p *Provider) sink(ctx context.Context, f Interface) error {
	c, ok := p.cloud.(Floater)
	if !ok || f.Tags[TagFloating] == "" {
		return nil
	}
	for id := range strings.SplitSeq(f.Tags[TagFloating], ",") {
		if err := c.Sink(ctx, id, f); err != nil && !errors.Is(err, provider.ErrNotFound) {
			return err
		}
	}
	return nil
}
