package eni

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Create implements provider.Provider. The NIC's id is the creation token, which
// clouds keep for some time, and a tag, which they keep for good: a look at that comes
// first, unless it has only just been placed. What belongs to a NIC besides the call
// that makes it is done by whichever Create finds it undone.
func (p *Provider) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	fail := p.failing("create", spec.NIC)
	if err := p.check(spec); err != nil {
		return nic.Seen{}, fail(err)
	}
	var f Interface
	var err error
	if !p.recent.of(spec.NIC).isNew() {
		f, err = p.found(ctx, spec)
	}
	if err == nil && f.ID == "" {
		f, err = p.make(ctx, spec)
	}
	if err == nil {
		err = p.finish(ctx, spec, f)
	}
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	seen, err := p.seen(ctx, f)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	return seen, nil
}

func (p *Provider) check(spec nic.Spec) error {
	_, err := nic.ParseID(string(spec.NIC))
	four := slices.ContainsFunc(spec.Addrs, netip.Addr.Is4)
	api := p.traits.API
	_, trunks := p.cloud.(Trunker)
	_, floats := p.cloud.(Floater)
	switch {
	case err != nil:
		return provider.Errorf(provider.ErrInvalid, "%s", err)
	case !spec.MAC.IsZero():
		return provider.Errorf(provider.ErrInvalid, "asks for MAC %s, but %s draws MACs itself", spec.MAC, api)
	case spec.Cloud.Subnet == "":
		return provider.Errorf(provider.ErrInvalid, "no subnet is chosen")
	case spec.Cloud.Trunk && !trunks:
		return provider.Errorf(provider.ErrInvalid, "is to be a member of a trunk, and %s has none", api)
	case len(spec.Cloud.Floating) > 0 && !floats:
		return provider.Errorf(provider.ErrInvalid, "is to have floating addresses, and %s has none", api)
	case spec.Cloud.Prefixes > 0 && four && len(spec.Addrs) > 1:
		return provider.Errorf(provider.ErrInvalid, "asks for prefixes and for more addresses than the first: %s gives one or the other", api)
	case spec.Cloud.Secondary > 0 && (spec.Cloud.Prefixes > 0 || len(spec.Addrs) > 0):
		return provider.Errorf(provider.ErrInvalid, "asks for %d further addresses, and for prefixes or for certain addresses: %s gives one or the other", spec.Cloud.Secondary, api)
	}
	return nil
}

// found is the NIC's interface if there is one; empty if none is seen.
func (p *Provider) found(ctx context.Context, spec nic.Spec) (Interface, error) {
	all, err := p.lookAll(ctx, spec.NIC)
	if err != nil {
		return Interface{}, err
	}
	fs := all[spec.NIC]
	if len(fs) == 0 {
		return Interface{}, nil
	}
	if p.recent.of(spec.NIC).deleted() && fs[0].Plug == nil || fs[0].State == nic.StateDeleting {
		return Interface{}, provider.Errorf(provider.ErrBusy, "is being deleted")
	}
	if _, mark, ok := strings.Cut(fs[0].Description, markWord); ok && mark != markOf(spec) {
		return Interface{}, provider.Errorf(provider.ErrInvalid, "%s was made with other parameters: another NIC needs another id", fs[0].ID)
	}
	return fs[0], nil
}

// markWord is before the mark of the spec in the description of an interface, by
// which other parameters under the same id are known.
const markWord = ", spec "

func markOf(spec nic.Spec) string {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("spec as JSON: %v", err)) // plain data always can be
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// make makes the interface.
func (p *Provider) make(ctx context.Context, spec nic.Spec) (Interface, error) {
	w := p.wanted(spec)
	p.recent.acts(spec.NIC)
	f, err := p.cloud.Create(ctx, w)
	if err != nil {
		return p.notMade(ctx, spec, err)
	}
	f.Tags = w.Tags // should the answer not repeat them
	p.recent.made(spec.NIC, f)
	p.spend(spec.Cloud.Subnet, 1+spec.Cloud.Secondary)
	return f, nil
}

// wanted is the interface that is the spec's.
func (p *Provider) wanted(spec nic.Spec) Wanted {
	tags := map[string]string{}
	maps.Copy(tags, spec.Cloud.Tags)
	maps.Copy(tags, map[string]string{TagNIC: string(spec.NIC), TagCluster: p.opts.Cluster, TagNode: spec.Node})
	if spec.Cloud.Trunk {
		tags[TagRole] = roleMember
	}
	if len(spec.Cloud.Floating) > 0 { // before it may have them: whoever deletes it goes by that
		tags[TagFloating] = strings.Join(spec.Cloud.Floating, ",")
	}
	return Wanted{Spec: spec, Description: "nicferry " + string(spec.NIC) + markWord + markOf(spec), Tags: tags}
}

// notMade looks at what a refused create is about.
func (p *Provider) notMade(ctx context.Context, spec nic.Spec, err error) (Interface, error) {
	used, taken := errors.Is(err, ErrTokenUsed), errors.Is(err, ErrAddressUsed)
	switch {
	case is(err, provider.ErrExhausted, provider.ScopeSubnet):
		p.full.block(spec.Cloud.Subnet)
	case used, taken: // perhaps by our own first attempt
		f, lookErr := p.found(ctx, spec)
		if lookErr != nil {
			return Interface{}, lookErr
		}
		if f.ID != "" {
			return f, nil
		}
		if taken && p.recent.of(spec.NIC).tried() {
			return Interface{}, busyInstead(err, retryYoung)
		}
	case errors.Is(err, provider.ErrUnknown):
		p.recent.note(spec.NIC, func(d *deeds) { d.triedAt = time.Now() })
	}
	return Interface{}, err
}

// finish does what an interface lacks of what it was asked for.
func (p *Provider) finish(ctx context.Context, spec nic.Spec, f Interface) error {
	if err := p.float(ctx, spec, f); err != nil {
		return err
	}
	if !spec.Cloud.Forwards || !f.Checked || p.recent.of(spec.NIC).unchecked {
		return nil
	}
	defer p.recent.acts(spec.NIC)()
	err := p.cloud.Forward(ctx, f)
	if errors.Is(err, provider.ErrNotFound) && p.recent.of(spec.NIC).young() {
		return busyInstead(err, retryYoung)
	}
	if err == nil {
		p.recent.note(spec.NIC, func(d *deeds) { d.unchecked = true })
	}
	return err
}
