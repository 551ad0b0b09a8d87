package conf

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nicferry/nicferry/nic"
)

// decodeScalar takes over text, a whole number or true and false.
func (d *doc) decodeScalar(n *yaml.Node, v reflect.Value, path string) {
	tag := n.ShortTag()
	switch v.Kind() {
	case reflect.String:
		switch {
		case n.Kind == yaml.ScalarNode && tag == "!!str":
			v.SetString(n.Value)
		case n.Kind == yaml.ScalarNode:
			d.reject(path, "want text, got %s; put it in quotes", describe(n))
		default:
			d.reject(path, "want text, got %s", describe(n))
		}
	case reflect.Int:
		// The digits come back the same: 010 and 0x10 mean different things
		// to different readers.
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || tag != "!!int" || err != nil || strconv.Itoa(i) != n.Value {
			d.reject(path, "want a whole number in plain digits, got %s", describe(n))
			return
		}
		v.SetInt(int64(i))
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || tag != "!!bool" {
			d.reject(path, "want true or false, got %s", describe(n))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	default:
		panic(fmt.Sprintf("conf: field %s has a type that cannot be read: %s", path, v.Type()))
	}
}

// decodeKnown takes over the types that have a text form of their own.
func (d *doc) decodeKnown(n *yaml.Node, v reflect.Value, path string) (known, ok bool) {
	switch p := v.Addr().Interface().(type) {
	case *nic.Duration:
		return true, parseAs(d, n, path, p, "a time such as 30s or 1m30s", parseDuration)
	case *onOff:
		return true, d.decodeOnOff(n, p, path)
	case *netip.Addr:
		return true, parseAs(d, n, path, p, "an IP address", parseAddr)
	case *netip.Prefix:
		return true, parseAs(d, n, path, p, "a prefix such as 10.0.0.0/24", parsePrefix)
	case *records:
		if n.Kind != yaml.ScalarNode {
			return false, false
		}
		return true, parseAs(d, n, path, &p.Path, "the absolute path of a file, or the fields of a store", func(s string) (string, error) { return s, checkPath(s) })
	case *nic.Range:
		return true, parseAs(d, n, path, p, "addresses such as 10.0.0.10-10.0.0.99, or one", parseRange)
	}
	return false, false
}

// An onOff is what ip link says on and off of, which is taken beside true and false.
type onOff bool

// String is as ip link has it.
func (o onOff) String() string {
	if o {
		return "on"
	}
	return "off"
}

func (d *doc) decodeOnOff(n *yaml.Node, to *onOff, path string) bool {
	if n.Kind == yaml.ScalarNode {
		switch strings.ToLower(n.Value) {
		case "on", "true":
			*to = true
			return true
		case "off", "false":
			*to = false
			return true
		}
	}
	d.reject(path, "want on or off, got %s", describe(n))
	return false
}

// errShape says that the text is not at all what is wanted.
var errShape = errors.New("not of that shape")

func parseAs[T any](d *doc, n *yaml.Node, path string, to *T, want string, parse func(string) (T, error)) bool {
	err := errShape
	number := n.ShortTag() == "!!int" && n.Value == "0" // 0 is a duration
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || number) {
		*to, err = parse(n.Value)
	}
	switch {
	case errors.Is(err, errShape):
		d.reject(path, "want %s, got %s", want, describe(n))
	case err != nil:
		d.reject(path, "%s", err)
	}
	return err == nil
}

func parseDuration(s string) (nic.Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, errShape
	}
	return nic.Duration(v), nil
}

func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errShape
	}
	return addr, checkAddr(addr)
}

// checkAddr refuses addresses that no container or gateway can have.
func checkAddr(addr netip.Addr) error {
	switch {
	case addr.Zone() != "":
		return fmt.Errorf("%s has an interface behind the %%; want the address alone", quote(addr.String()))
	case addr.Is4In6():
		return fmt.Errorf("%s is an IPv4 address in IPv6 form; write %s", addr, addr.Unmap())
	case addr.IsUnspecified(), addr.IsLoopback(), addr.IsMulticast(), addr.IsLinkLocalUnicast(),
		addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is not a unicast address of a network", addr)
	}
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errShape
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 prefix in IPv6 form", prefix)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, fmt.Errorf("%s has bits set behind the /%d; did you mean %q?", prefix, prefix.Bits(), masked)
	}
	return prefix, nil
}

func parseRange(s string) (nic.Range, error) {
	from, to, two := strings.Cut(s, "-")
	first, err := parseAddr(strings.TrimSpace(from))
	if err != nil {
		return nic.Range{}, err
	}
	last := first
	if two {
		if last, err = parseAddr(strings.TrimSpace(to)); err != nil {
			return nic.Range{}, err
		}
	}
	switch {
	case first.BitLen() != last.BitLen():
		return nic.Range{}, fmt.Errorf("%s-%s mixes IPv4 and IPv6", first, last)
	case last.Less(first):
		return nic.Range{}, fmt.Errorf("%s-%s ends before it begins", first, last)
	}
	return nic.Range{First: first, Last: last}, nil
}
