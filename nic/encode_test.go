package nic_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// kinds are zero values of what is encoded by hand.
var kinds = []any{nic.NIC{}, nic.Spec{}, nic.Claim{}, nic.Reservation{}, nic.ID(""), nic.ClaimID("")}

// Records are written as json.Marshal writes them, whatever is in them: other releases
// read them, and what has been written is compared by its bytes.
func TestEncode(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		sameAsJSON(t, seed)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(sameAsJSON)
}

func sameAsJSON(t *testing.T, seed uint64) {
	t.Helper()
	fill := filler{rand.New(rand.NewPCG(seed, 0)), seed%8 == 7} //nolint:gosec // a test's
	for _, kind := range kinds {
		v := reflect.New(reflect.TypeOf(kind)).Elem()
		fill.value(v)
		want, wantErr := json.Marshal(v.Interface())
		got, err := nic.Encode(v.Interface())
		if (err != nil) != (wantErr != nil) || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %T is written as\n%s %v\nwant\n%s %v", seed, kind, got, err, want, wantErr)
		}
	}
}

// A filler makes values with anything in them. About half of what may be empty is.
type filler struct {
	*rand.Rand
	odd bool // also what JSON refuses, and texts that need escapes
}

var (
	plain = []string{"a", "eth0", "10.0.0.7 is fine", "~", "clm-0123"}
	odd   = []string{"\"", `\`, "<b>", "a&b", "\u2028", "\xff", "\x00\t\n", "\x7f", "ä€😀", "a\"b\\c"}
)

func pick[T any](f filler, all []T) T { return all[f.IntN(len(all))] }

func (f filler) special() map[reflect.Type]func() any {
	addrs := []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("::ffff:1.2.3.4"), {}}
	zones := []time.Time{
		{},
		time.Unix(1, 0).UTC(), time.Unix(1_795_000_000, 123_456_789).UTC(),
		time.Unix(1_795_000_000, 120_000_000).In(time.FixedZone("", 5*3600+1800)), time.Unix(1, 1).In(time.FixedZone("x", -3600)),
	}
	if f.odd {
		addrs = append(addrs, netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("fe80::1").WithZone("<\"\xff>"))
		zones = append(zones, time.Unix(1, 0).In(time.FixedZone("", 30)))
		if f.IntN(4) == 0 {
			zones = append(zones, time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1, 0).In(time.FixedZone("", 25*3600)))
		}
	}
	return map[reflect.Type]func() any{
		reflect.TypeFor[time.Time]():  func() any { return pick(f, zones) },
		reflect.TypeFor[netip.Addr](): func() any { return pick(f, addrs) },
		reflect.TypeFor[netip.Prefix](): func() any {
			return pick(f, []netip.Prefix{netip.PrefixFrom(pick(f, addrs), 24), netip.MustParsePrefix("fd00::/64"), {}})
		},
	}
}

func (f filler) value(v reflect.Value) {
	if make, ok := f.special()[v.Type()]; ok {
		v.Set(reflect.ValueOf(make()))
		return
	}
	if f.IntN(2) == 0 && v.Kind() != reflect.Struct {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if f.IntN(4) == 0 {
			return
		}
		for i := range v.NumField() {
			f.value(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), f.IntN(3), 3))
		for i := range v.Len() {
			f.value(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			f.value(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range f.IntN(3) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.value(key)
			f.value(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.value(v.Elem())
	case reflect.String:
		v.SetString(pick(f, plain))
		if f.odd {
			v.SetString(pick(f, plain) + pick(f, odd) + pick(f, plain))
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(64))
	case reflect.Uint64:
		v.SetUint(f.Uint64() >> f.IntN(64))
	case reflect.Uint8:
		v.SetUint(f.Uint64() & 0xff)
	default:
		panic("no value for a " + v.Type().String())
	}
}

func BenchmarkEncode(b *testing.B) {
	n := nic.NIC{Schema: 1, ID: "nic-1", Phase: nic.PhaseHeld, Spec: nic.Spec{NIC: "nic-1", MAC: nic.NewMAC(), Addrs: []netip.Addr{netip.MustParseAddr("10.1.2.3")}}}
	n.Spec.Device = nic.Device{Kind: nic.Veth, MAC: n.Spec.MAC, Bridge: nic.Bridge{Name: "br0"}}
	n.Steps, n.Created, n.Since = []nic.Step{{Name: nic.StepAsked, At: time.Unix(1, 2)}}, time.Unix(1, 2), time.Unix(1, 2)
	for name, encode := range map[string]func(any) ([]byte, error){"json": json.Marshal, "ours": nic.Encode} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = encode(n)
			}
		})
	}
}
