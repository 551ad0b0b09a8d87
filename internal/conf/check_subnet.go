package conf

import (
	"net/netip"

	"github.com/nicferry/nicferry/nic"
)

// checkSubnet checks a subnet by itself. Its gateway may lie in a range: it is
// never given out. The first address of a prefix, and the last of an IPv4 one,
// are no container's, and the ranges must say so.
func (d *doc) checkSubnet(path string, s subnet) {
	if d.bad[path] || !s.Prefix.IsValid() {
		return
	}
	if err := checkAddr(s.Prefix.Addr()); err != nil || s.Prefix.Bits() == 0 {
		d.reject(under(path, "prefix"), "%s is not a prefix of unicast addresses", s.Prefix)
		return
	}
	span := prefixRange(s.Prefix)
	if s.Gateway.IsValid() && !s.Prefix.Contains(s.Gateway) {
		d.fault(under(path, "gateway"), "%s is outside %s", s.Gateway, s.Prefix)
	}
	for i, r := range s.Exclude {
		if r.First.IsValid() && (!span.Contains(r.First) || !span.Contains(r.Last)) {
			d.fault(item(under(path, "exclude"), i), "%s is outside %s", rangeText(r), s.Prefix)
		}
	}
	for i, r := range s.Ranges {
		if r.First.IsValid() {
			d.checkRange(item(under(path, "ranges"), i), r, s, span)
		}
	}
}

func (d *doc) checkRange(path string, r nic.Range, s subnet, span nic.Range) {
	if !span.Contains(r.First) || !span.Contains(r.Last) {
		d.fault(path, "%s is outside %s", rangeText(r), s.Prefix)
		return
	}
	excluded := func(addr netip.Addr) bool {
		for _, x := range s.Exclude {
			if x.First.IsValid() && x.Contains(addr) {
				return true
			}
		}
		return false
	}
	for _, x := range s.Exclude {
		if x.First.IsValid() && x.Contains(r.First) && x.Contains(r.Last) {
			d.fault(path, "%s is excluded as a whole, by %s", rangeText(r), rangeText(x))
			return
		}
	}
	if s.Prefix.Addr().BitLen()-s.Prefix.Bits() <= 1 { // both ends of a link, RFC 3021 and 6164
		return
	}
	if r.Contains(span.First) && !excluded(span.First) {
		d.fault(path, "%s holds %s, which is the subnet's own address (%s); begin later, or exclude it",
			rangeText(r), span.First, firstIs(s.Prefix))
	}
	if s.Prefix.Addr().Is4() && r.Contains(span.Last) && !excluded(span.Last) {
		d.fault(path, "%s holds %s, the broadcast address; end earlier, or exclude it", rangeText(r), span.Last)
	}
}

func firstIs(p netip.Prefix) string {
	if p.Addr().Is4() {
		return "the network address"
	}
	return "its routers' anycast address"
}

// rangeText is the range as people write it.
func rangeText(r nic.Range) string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.String()
}

// prefixRange is all addresses of a prefix without host bits.
func prefixRange(p netip.Prefix) nic.Range {
	last := p.Addr().AsSlice()
	for i := range last {
		bits := min(8, max(0, p.Bits()-8*i)) // of this byte in the prefix
		last[i] |= 0xff >> bits
	}
	addr, _ := netip.AddrFromSlice(last) // 4 or 16 bytes, as they came
	return nic.Range{First: p.Addr(), Last: addr}
}
