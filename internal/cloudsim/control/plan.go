package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// A Plan is what shall go wrong.
type Plan struct {
	// Faults are the cloud's, Metadata those of the metadata service.
	Faults   []cloudsim.Fault `json:"faults,omitempty" yaml:"faults,omitempty"`
	Metadata []imds.Fault     `json:"metadata,omitempty" yaml:"metadata,omitempty"`
}

// ReadPlan reads YAML, of which JSON is a part. Its error tells all that is
// wrong with the plan. Nothing at all is a plan without faults.
func ReadPlan(text []byte) (Plan, error) {
	var p Plan
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return p, fmt.Errorf("read plan of faults: %w", err)
	}
	return p, p.check()
}

func (p Plan) check() error {
	var all []error
	for n, f := range p.Faults {
		if err := f.Check(); err != nil {
			all = append(all, fmt.Errorf("faults[%d]: %w", n, err))
		}
	}
	for n, f := range p.Metadata {
		if err := f.Check(); err != nil {
			all = append(all, fmt.Errorf("metadata[%d]: %w", n, err))
		}
	}
	return errors.Join(all...)
}
