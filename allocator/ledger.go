package allocator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// NewLedger gives a provider its own memory in the store.
func NewLedger(s store.Store, providerName string) provider.Ledger {
	return ledger{store: s, provider: providerName}
}

type ledger struct {
	store    store.Store
	provider string
}

func (l ledger) Put(ctx context.Context, key string, value []byte) ([]byte, bool, error) {
	at := ledgerKey(l.provider, key)
	for range maxRounds {
		now, err := l.store.Get(ctx, at)
		if err == nil {
			return now.Value, false, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, false, err
		}
		if _, err = l.store.Commit(ctx, store.Create(at, value)); err == nil {
			return value, true, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("put %s: gave up after %d rounds", at, maxRounds)
}

func (l ledger) Get(ctx context.Context, key string) ([]byte, error) {
	r, err := l.store.Get(ctx, ledgerKey(l.provider, key))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("ledger record %s: %w", key, provider.ErrNotFound)
	}
	return r.Value, err
}

func (l ledger) List(ctx context.Context, prefix string) (map[string][]byte, error) {
	root := ledgerKey(l.provider, "")
	records, _, err := l.store.List(ctx, root+prefix, "", 0)
	if err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(records))
	for _, r := range records {
		values[strings.TrimPrefix(r.Key, root)] = r.Value
	}
	return values, nil
}

func (l ledger) Delete(ctx context.Context, key string) error {
	at := ledgerKey(l.provider, key)
	for range maxRounds {
		r, err := l.store.Get(ctx, at)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err = l.store.Commit(ctx, store.Delete(at, r.Rev)); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("delete %s: gave up after %d rounds", at, maxRounds)
}

// NewNodes gives a provider what the nodes have reported.
func NewNodes(s store.Store, providerName string) provider.Nodes {
	return nodes{store: s, provider: providerName}
}

type nodes struct {
	store    store.Store
	provider string
}

func (ns nodes) Node(ctx context.Context, instance nic.InstanceID) (nic.Node, error) {
	// Most are called as their node is. Then the others, with all their cards, need not
	// be read.
	named, _, err := store.GetJSON[nic.Node](ctx, ns.store, nodeKey(string(instance)))
	if err == nil && instanceOf(named, ns.provider) == instance {
		return named, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nic.Node{}, err
	}
	all, _, err := store.ListJSON[nic.Node](ctx, ns.store, nodePrefix, "", 0)
	if err != nil {
		return nic.Node{}, err
	}
	for _, node := range all {
		if instanceOf(node.Value, ns.provider) == instance {
			return node.Value, nil
		}
	}
	return nic.Node{}, fmt.Errorf("instance %s: %w", instance, provider.ErrNotFound)
}

func (ns nodes) Clean(ctx context.Context, instance nic.InstanceID, id nic.ID) (bool, error) {
	n, _, err := store.GetJSON[nic.NIC](ctx, ns.store, nicKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return true, nil // no record: it was taken back whole
	}
	if err != nil {
		return false, err
	}
	// A NIC that its node was never told of has left nothing there.
	return n.Instance == instance && (n.Clean || !told(n)), nil
}
