package allocator

import (
	"reflect"
	"sync"
)

// A copier copies decoded records. It remembers which fields of which struct share what
// they point to with a plain copy.
type copier struct {
	fields sync.Map
	// desks are where copies are made, a sync.Pool by type: reflection needs an address,
	// and the copy goes to who asked by value.
	desks sync.Map
	// drops: what is empty is nil in the copy, as it is after it was encoded and decoded.
	drops bool
}

// own returns a copy of a decoded record that shares nothing with it, so that either
// may be changed in place or appended to.
func own[T any](c *copier, v T) T {
	t := reflect.TypeFor[T]()
	known, ok := c.desks.Load(t)
	if !ok {
		known, _ = c.desks.LoadOrStore(t, &sync.Pool{New: func() any { return new(T) }})
	}
	desks := known.(*sync.Pool) //nolint:forcetypeassert // only these are stored
	desk := desks.Get().(*T)    //nolint:forcetypeassert // and only these are in it
	*desk = v
	c.separate(reflect.ValueOf(desk).Elem())
	v = *desk
	var empty T
	*desk = empty // it keeps nothing in memory
	desks.Put(desk)
	return v
}

// separate replaces all that the value points to by copies. What is not exported, such
// as in a time, is not changed by anybody.
func (c *copier) separate(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.IsNil() || c.dropped(v) {
			return
		}
		to := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(to, v)
		if c.shares(v.Type().Elem()) {
			for i := range to.Len() {
				c.separate(to.Index(i))
			}
		}
		v.Set(to)
	case reflect.Map:
		if v.IsNil() || c.dropped(v) {
			return
		}
		to := reflect.MakeMapWithSize(v.Type(), v.Len())
		for key, value := range v.Seq2() {
			to.SetMapIndex(key, c.copied(value))
		}
		v.Set(to)
	case reflect.Pointer:
		if !v.IsNil() {
			v.Set(c.copied(v.Elem()).Addr())
		}
	case reflect.Struct:
		for _, i := range c.sharing(v.Type()) {
			c.separate(v.Field(i))
		}
	case reflect.Array:
		if c.shares(v.Type().Elem()) {
			for i := range v.Len() {
				c.separate(v.Index(i))
			}
		}
	}
}

func (c *copier) dropped(v reflect.Value) bool {
	if !c.drops || v.Len() > 0 {
		return false
	}
	v.SetZero()
	return true
}

func (c *copier) copied(v reflect.Value) reflect.Value {
	to := reflect.New(v.Type()).Elem()
	to.Set(v)
	c.separate(to)
	return to
}

// shares says whether copies of the type's values point to the same.
func (c *copier) shares(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return true
	case reflect.Array:
		return c.shares(t.Elem())
	case reflect.Struct:
		return len(c.sharing(t)) > 0
	}
	return false
}

// sharing are the struct's fields whose copies point to the same.
func (c *copier) sharing(t reflect.Type) []int {
	if known, ok := c.fields.Load(t); ok {
		return known.([]int) //nolint:forcetypeassert // only these are stored
	}
	var fields []int
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && c.shares(f.Type) {
			fields = append(fields, i)
		}
	}
	c.fields.Store(t, fields)
	return fields
}
