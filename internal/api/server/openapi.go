package server

import (
	"encoding/json"
	"io"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/nicferry/nicferry/internal/api"
)

// The bounds of requests' bodies, in bytes.
const (
	maxBody   = 1 << 20
	maxReport = 4 << 20 // some 10,000 NICs
)

// config is huma's, without what we do not want of its defaults: "$schema"
// fields in answers, pages that load scripts from elsewhere, and an OpenAPI
// route that encodes its document at the first request without a lock.
func (s *server) config() huma.Config {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[api.Error]())
	format := huma.Format{Marshal: writeJSON, Unmarshal: json.Unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "nicferry",
				Version:     "1",
				Description: "Wanted goes down, observed goes up. Every write may be repeated.",
			},
			Components: &huma.Components{Schemas: schemas},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{toWire},
	}
}

// writeJSON encodes before it writes, so that only a fault of ours is an
// error: that the client has gone is nobody's.
func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Write(append(b, '\n'))
	return nil
}

// operation describes a route; every one may answer with our error.
func (s *server) operation(id, method, path, summary string) huma.Operation {
	return huma.Operation{
		OperationID:  id,
		Method:       method,
		Path:         path,
		Summary:      summary,
		MaxBodyBytes: maxBody,
		// A read deadline would stay on the connection and end the context of
		// a handler that is slower than it.
		BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{
			"default": {
				Description: "Error",
				Content: map[string]*huma.MediaType{
					"application/json": {Schema: s.schema(reflect.TypeFor[api.Error]())},
				},
			},
		},
	}
}

func (s *server) schema(t reflect.Type) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

// none is the input or the output of a route that has none.
type none struct{}

// body is the output of a route that answers with a T.
type body[T any] struct{ Body T }

// nameInput is the input of a route about one thing. Inputs repeat their
// parameters: huma does not look into embedded structs that are not exported.
type nameInput struct {
	Name string `path:"name"`
}

// idInput is the input of a route about one thing with an id of ours.
type idInput struct {
	ID string `path:"id"`
}

// pageInput is the input of a route that lists many.
type pageInput struct {
	After string `query:"after" doc:"Return those after this one; take it from next."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"How many to return at most."`
}
