package made

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// maxTries bounds how often a verb decides again because others changed the
// NIC under it. Each time one of them got on, so more means a live-lock.
const maxTries = 8

// State is what a known NIC's records and its node's report say. A node that
// is not ours any more has not reported: silence is not clean.
func (n *NICs) State(ctx context.Context, h ledgerlog.History) (nic.State, error) {
	switch h.Last.Do {
	case "", ledgerlog.Left:
		return nic.StateAvailable, nil
	case ledgerlog.Attach:
		return nic.StateAttached, nil
	case ledgerlog.Erase:
		return nic.StateDeleting, nil
	case ledgerlog.Detach:
		clean, err := n.opts.Nodes.Clean(ctx, h.Last.Place.Instance, h.ID)
		switch {
		case err != nil && !errors.Is(err, provider.ErrNotFound):
			return "", fmt.Errorf("ask whether instance %q is clean: %w", h.Last.Place.Instance, err)
		case err == nil && clean:
			return nic.StateAvailable, nil
		}
		return nic.StateDetaching, nil
	}
	return "", h.Unreadable()
}

// seenAs is what the provider says of a known NIC in that state.
func seenAs(h ledgerlog.History, state nic.State) nic.Seen {
	seen := nic.Seen{
		NIC: h.ID, ProviderID: string(h.ID),
		State: state, MAC: h.Spec.MAC, Addrs: h.Spec.Addrs,
	}
	if state == nic.StateAttached || state == nic.StateDetaching {
		seen.Place, seen.Device = h.Last.Place, Recipe(h.Spec)
		seen.MAC = seen.Device.MAC
	}
	return seen
}

// Get implements provider.Provider.
func (n *NICs) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	fail := n.Failing("get", "")
	got := make(map[nic.ID]nic.Seen, len(ids))
	for _, id := range ids {
		h, err := n.log.Read(ctx, id)
		if err != nil {
			return nil, fail(err)
		}
		seen, known, err := n.look(ctx, h)
		if err != nil {
			return nil, fail(err)
		}
		if known {
			got[id] = seen
		}
	}
	return got, nil
}

// List implements provider.Provider.
func (n *NICs) List(ctx context.Context) ([]nic.Seen, error) {
	fail := n.Failing("list", "")
	histories, err := n.log.ReadAll(ctx)
	if err != nil {
		return nil, fail(err)
	}
	return n.lookAll(ctx, histories, fail)
}

// Places is List for who wants to know of each NIC only where it is.
func (n *NICs) Places(ctx context.Context) ([]nic.Seen, error) {
	fail := n.Failing("list", "")
	histories, err := n.log.ReadSteps(ctx)
	if err != nil {
		return nil, fail(err)
	}
	return n.lookAll(ctx, histories, fail)
}

func (n *NICs) lookAll(ctx context.Context, histories map[nic.ID]*ledgerlog.History, fail func(error) error) ([]nic.Seen, error) {
	all := make([]nic.Seen, 0, len(histories))
	for _, h := range histories {
		seen, known, err := n.look(ctx, *h)
		if err != nil {
			return nil, fail(err)
		}
		if known {
			all = append(all, seen)
		}
	}
	return all, nil
}

// look says what there is to see. When the node has reported the NIC clean it
// records that, so that available, once said, stays so when the node is told
// something new and its report is reset.
func (n *NICs) look(ctx context.Context, h ledgerlog.History) (seen nic.Seen, known bool, err error) {
	for range maxTries {
		if !h.Known {
			return nic.Seen{}, false, nil
		}
		state, err := n.State(ctx, h)
		if err != nil {
			return nic.Seen{}, false, err
		}
		if h.Last.Do != ledgerlog.Detach || state != nic.StateAvailable {
			return seenAs(h, state), true, nil
		}
		added, err := n.log.Add(ctx, h, ledgerlog.Step{Do: ledgerlog.Left})
		if err != nil {
			return nic.Seen{}, false, err
		}
		if added {
			return seenAs(h, state), true, nil
		}
		if h, err = n.log.Read(ctx, h.ID); err != nil {
			return nic.Seen{}, false, err
		}
	}
	return nic.Seen{}, false, ledgerlog.ErrContended
}
