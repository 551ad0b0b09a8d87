package bundle

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// pseudonyms are the names of addresses, by kind and address.
type pseudonyms struct {
	names map[string]string
	count map[string]int
}

func newPseudonyms() *pseudonyms {
	return &pseudonyms{names: map[string]string{}, count: map[string]int{}}
}

var (
	// Also longer ones, as of InfiniBand and of DHCP's identifiers.
	macLike = regexp.MustCompile(`(?:[0-9A-Fa-f]{2}[:-]){5,31}[0-9A-Fa-f]{2}`)
	// Interfaces that are named by their MACs.
	macName = regexp.MustCompile(`enx[0-9a-f]{12}`)
	v4Like  = regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}`)
	v6Like  = regexp.MustCompile(`[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:(?:\.[0-9]{1,3}){3})?`)
)

// replace puts names in the place of addresses.
func (p *pseudonyms) replace(text []byte) []byte {
	text = p.each(macLike, text, p.mac)
	text = p.each(macName, text, func(s string) string { return "en-" + p.mac(s[3:]) })
	text = p.each(v6Like, text, p.ip) // before version 4, which may be its end
	return p.each(v4Like, text, p.ip)
}

// each replaces what stands for itself: no part of a longer word.
func (p *pseudonyms) each(like *regexp.Regexp, text []byte, name func(string) string) []byte {
	var out []byte
	last := 0
	for _, at := range like.FindAllIndex(text, -1) {
		if at[0] > 0 && isWord(text[at[0]-1]) || at[1] < len(text) && isWord(text[at[1]]) {
			continue
		}
		out = append(append(out, text[last:at[0]]...), name(string(text[at[0]:at[1]]))...)
		last = at[1]
	}
	if last == 0 {
		return text
	}
	return append(out, text[last:]...)
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

func (p *pseudonyms) mac(text string) string {
	key := strings.ToLower(strings.NewReplacer(":", "", "-", "").Replace(text))
	if strings.Trim(key, "0") == "" || strings.Trim(key, "f") == "" {
		return text // nobody's
	}
	return p.name("mac", key)
}

func (p *pseudonyms) ip(text string) string {
	addr, err := netip.ParseAddr(text)
	if short, cut := strings.CutSuffix(text, ":"); err != nil && cut { // as in "fd00::1: no route"
		if named := p.ip(short); named != short {
			return named + ":"
		}
	}
	if err != nil {
		return text
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified(), addr.IsLoopback(), addr.Is4() && addr.As4()[0] == 255:
		return text // nobody's
	case addr.Is4():
		return p.name("ipv4", addr.String())
	}
	return p.name("ipv6", addr.String())
}

func (p *pseudonyms) name(kind, key string) string {
	if name, ok := p.names[kind+key]; ok {
		return name
	}
	p.count[kind]++
	name := fmt.Sprintf("%s-%d", kind, p.count[kind])
	p.names[kind+key] = name
	return name
}
