package allocator

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// identify chooses the claim's MAC and addresses and reserves them in the same
// commit. A reservation is a record that must not exist yet, so two claims can
// never hold one address, whoever commits and from where.
func (a *Allocator) identify(e *edit, claim *nic.Claim, network nic.Network) (*nic.Condition, error) {
	var id nic.Identity
	if !a.opts.Providers[network.Provider].Info().DrawsMACs {
		mac, refusal, err := chooseMAC(e, claim.Request.MAC)
		if refusal != nil || err != nil {
			return refusal, err
		}
		id.MAC = mac
	}
	if network.Addressing == nic.AddrIPAM {
		for _, want := range claim.Request.Addrs {
			addr, refusal, err := a.fixedAddr(e, network, want)
			if refusal != nil || err != nil {
				return refusal, err
			}
			id.Addrs = append(id.Addrs, addr)
		}
		for _, ipv6 := range []bool{false, true} {
			if hasFamily(id.Addrs, ipv6) || !ipam.HasRange(network, ipv6) {
				continue
			}
			addr, refusal, err := a.freeAddr(e, network, ipv6)
			if refusal != nil || err != nil {
				return refusal, err
			}
			id.Addrs = append(id.Addrs, addr)
		}
		if len(id.Addrs) == 0 {
			return because(nic.ReasonBadRequest,
				"network %s has no range to choose from: ask for an address with %s", network.Name, nic.LabelIP), nil
		}
	}
	if !id.MAC.IsZero() {
		e.create(macKey(id.MAC), claim.ID)
	}
	for _, p := range id.Addrs {
		e.create(addrKey(network.Space, p.Addr()), claim.ID)
	}
	id.Space = network.Space
	claim.Identity = id
	return nil, nil
}

// chooseMAC takes the asked MAC, or draws one that nobody holds.
func chooseMAC(e *edit, want nic.MAC) (nic.MAC, *nic.Condition, error) {
	if !want.IsZero() {
		holder, err := holderOf(e, macKey(want))
		if err != nil || holder == "" {
			return want, nil, err
		}
		return want, because(nic.ReasonMACTaken, "MAC %s is held by %s", want, holder), nil
	}
	for {
		mac := nic.NewMAC()
		holder, err := holderOf(e, macKey(mac))
		if err != nil || holder == "" {
			return mac, nil, err
		}
	}
}

func (a *Allocator) fixedAddr(e *edit, network nic.Network, want netip.Addr) (netip.Prefix, *nic.Condition, error) {
	addr, notAllowed := ipam.Fixed(network, want)
	if notAllowed != nil {
		return addr, because(nic.ReasonAddressNotAllowed, "%s", notAllowed), nil
	}
	if other, ok := a.gateways[spaceAddr{network.Space, want}]; ok {
		return addr, because(nic.ReasonAddressNotAllowed, "%s is the gateway of network %s", want, other), nil
	}
	holder, err := holderOf(e, addrKey(network.Space, want))
	if err != nil || holder == "" {
		return addr, nil, err
	}
	return addr, because(nic.ReasonAddressTaken, "%s is held by %s", want, holder), nil
}

func (a *Allocator) freeAddr(e *edit, network nic.Network, ipv6 bool) (netip.Prefix, *nic.Condition, error) {
	var readErr error
	addr, ok := ipam.Pick(network, ipv6, func(addr netip.Addr) bool {
		if readErr != nil {
			return false // ends the search
		}
		if _, ok := a.gateways[spaceAddr{network.Space, addr}]; ok {
			return true
		}
		_, err := e.store.Get(e.ctx, addrKey(network.Space, addr))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			readErr = err
		}
		return err == nil
	})
	if readErr != nil {
		return addr, nil, fmt.Errorf("look for a free address: %w", readErr)
	}
	if !ok {
		return addr, because(nic.ReasonExhausted, "network %s: every address of %s is held",
			network.Name, ipam.Describe(network, ipv6)), nil
	}
	return addr, nil, nil
}

// holderOf says for people who holds an address or MAC; "" if nobody does.
func holderOf(e *edit, key string) (string, error) {
	id, _, found, err := get[nic.ClaimID](e, key)
	if err != nil || !found {
		return "", err
	}
	claim, _, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found {
		return fmt.Sprintf("claim %s", id), err
	}
	return fmt.Sprintf("container %q on %s (claim %s)", claim.Container, claim.Owner.Node, id), nil
}

func hasFamily(addrs []netip.Prefix, ipv6 bool) bool {
	for _, p := range addrs {
		if p.Addr().Is6() == ipv6 {
			return true
		}
	}
	return false
}

// hasIdentity is not a method of nic.Claim because only the allocator may ask:
// with DHCP at a provider that draws MACs there is nothing to hold.
func hasIdentity(claim *nic.Claim) bool {
	return !claim.Identity.MAC.IsZero() || len(claim.Identity.Addrs) > 0
}
