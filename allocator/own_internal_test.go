package allocator

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// What is decoded once and copied is the same as what is decoded anew: equal, and
// without anything in common that could be changed in place.
func TestOwnSharesNothing(t *testing.T) {
	t.Parallel()
	c := &copier{}
	for _, shown := range []any{&nic.NIC{}, &nic.Claim{}, &nic.Node{}, &nic.Observed{}, &nic.Reservation{}} {
		putInto(t, reflect.ValueOf(shown).Elem())
		v := reflect.New(reflect.TypeOf(shown).Elem()).Elem()
		v.Set(reflect.ValueOf(shown).Elem())
		c.separate(v)
		if !reflect.DeepEqual(v.Interface(), reflect.ValueOf(shown).Elem().Interface()) {
			t.Errorf("the copy of a %s differs", v.Type())
		}
		apart(t, v.Type().Name(), v, reflect.ValueOf(shown).Elem())
	}
	if n := own(c, nic.NIC{}); !reflect.DeepEqual(n, nic.NIC{}) {
		t.Errorf("of nothing: %+v", n)
	}
}

// putInto puts something into all that a record can hold.
func putInto(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
		return
	case netip.Addr, netip.Prefix, netip.AddrPort: // values, whatever is in them
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 5))
		putInto(t, v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		putInto(t, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		putInto(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				t.Errorf("%s has a field %s that nobody copies", v.Type(), v.Type().Field(i).Name)
				continue
			}
			putInto(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			putInto(t, v.Index(i))
		}
	case reflect.Interface, reflect.Chan, reflect.Func:
		t.Errorf("a %s is in a record", v.Type())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	}
}

// apart says what two values have in common.
func apart(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if a.IsNil() && b.IsNil() {
			return
		}
	}
	switch a.Kind() {
	case reflect.Slice:
		if a.Pointer() == b.Pointer() || a.Cap() != a.Len() {
			t.Errorf("%s is shared, or has room for others' elements", path)
		}
		for i := range a.Len() {
			apart(t, path+"[]", a.Index(i), b.Index(i))
		}
	case reflect.Map:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		for key, value := range a.Seq2() {
			apart(t, path+"{}", value, b.MapIndex(key))
		}
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		apart(t, path, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if f := a.Type().Field(i); f.IsExported() {
				apart(t, path+"."+f.Name, a.Field(i), b.Field(i))
			}
		}
	}
}
