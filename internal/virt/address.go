package virt

import (
	"fmt"

	"libvirt.org/go/libvirtxml"
)

// parseAddress reads a PCI address such as 0000:05:00.0.
func parseAddress(text string) (*libvirtxml.DomainAddressPCI, error) {
	var domain, bus, slot, function uint
	n, err := fmt.Sscanf(text, "%04x:%02x:%02x.%1x", &domain, &bus, &slot, &function)
	address := &libvirtxml.DomainAddressPCI{Domain: &domain, Bus: &bus, Slot: &slot, Function: &function}
	if err != nil || n != 4 || formatAddress(address) != text {
		return nil, fmt.Errorf("PCI address %q: %w: want one such as 0000:05:00.0", text, ErrInvalid)
	}
	return address, nil
}

// formatAddress writes it; "" for nil and for one that is not whole.
func formatAddress(a *libvirtxml.DomainAddressPCI) string {
	if a == nil || a.Domain == nil || a.Bus == nil || a.Slot == nil || a.Function == nil {
		return ""
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", *a.Domain, *a.Bus, *a.Slot, *a.Function)
}
