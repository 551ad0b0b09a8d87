package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// GetJSON reads one record and decodes it. The revision is what an Update or
// Delete of it must expect. Fields that T does not know are dropped; whether
// T may write the record back is the caller's to decide.
func GetJSON[T any](ctx context.Context, s Store, key string) (T, Rev, error) {
	var v T
	rec, err := s.Get(ctx, key)
	if err != nil {
		return v, 0, err
	}
	v, err = DecodeJSON[T](rec)
	return v, rec.Rev, err
}

// A JSON is a decoded record.
type JSON[T any] struct {
	Key   string
	Value T
	Rev   Rev
}

// ListJSON is List with decoded records. One record that does not decode
// fails the whole: a short list is never returned for a full one.
func ListJSON[T any](ctx context.Context, s Store, prefix, after string, limit int) ([]JSON[T], Rev, error) {
	recs, rev, err := s.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, 0, err
	}
	list := make([]JSON[T], 0, len(recs))
	for _, rec := range recs {
		v, err := DecodeJSON[T](rec)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, JSON[T]{Key: rec.Key, Value: v, Rev: rec.Rev})
	}
	return list, rev, nil
}

// DecodeJSON decodes one record, such as that of an Event.
func DecodeJSON[T any](rec Record) (T, error) {
	v, err := SharedJSON[T](rec)
	return *v, err
}

// SharedJSON is DecodeJSON without a copy: nobody may change what it returns, which with
// an error is a part of the record, or nothing.
func SharedJSON[T any](rec Record) (*T, error) {
	if rec.once != nil {
		if v, ok := (*rec.once).(*T); ok {
			return v, nil
		}
	}
	v := new(T)
	if err := json.Unmarshal(rec.Value, v); err != nil {
		return v, fmt.Errorf("decode record %q (revision %d): %w", rec.Key, rec.Rev, err)
	}
	if rec.once != nil {
		*rec.once = v
	}
	return v, nil
}

// Once has DecodeJSON decode each event once, however many of its readers ask, one
// after the other. They share what it points to, and none of them may change that.
func Once(events []Event) {
	for i := range events {
		events[i].once = new(any)
	}
}

// Know has DecodeJSON return what v points to, which the event's value was encoded of.
// The event is one of those that Once was called with.
func (e Event) Know(v any) { *e.once = v }

// CreateJSON is Create with an encoded value.
func CreateJSON(key string, v any) (Op, error) { return UpdateJSON(key, v, 0) }

// UpdateJSON is Update with an encoded value.
func UpdateJSON(key string, v any, expect Rev) (Op, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Op{}, fmt.Errorf("encode record %q: %w", key, err)
	}
	return Update(key, data, expect), nil
}
