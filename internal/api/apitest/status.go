package apitest

import (
	"context"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// PutTroubles is what Status says from then on.
func (b *Backend) PutTroubles(troubles ...nic.Condition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = troubles
}

// Status returns what PutTroubles was given.
func (b *Backend) Status(context.Context) []nic.Condition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.troubles)
}
