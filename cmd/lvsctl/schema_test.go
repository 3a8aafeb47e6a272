package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/metadata/metadatatest"
)

// schemas are the outputs with --json and the files with their JSON schemas.
var schemas = map[string]reflect.Type{
	"docs/schema/status.json":  reflect.TypeFor[[]control.Snapshot](),
	"docs/schema/explain.json": reflect.TypeFor[[]control.Explanation](),
	"docs/schema/event.json":   reflect.TypeFor[control.Event](),
}

// TestGeneratedSchemas writes the JSON schema of each output.
func TestGeneratedSchemas(t *testing.T) {
	for path, of := range schemas {
		schema := schemaOf(of)
		schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		text, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		metadatatest.Golden(t, path, string(text)+"\n")
	}
}

// schemaOf returns the JSON schema of a type. New versions can add fields, so a schema allows
// fields that it does not name.
func schemaOf(of reflect.Type) map[string]any {
	if of == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}
	}
	names := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number", reflect.Int: "integer", reflect.Uint32: "integer"}
	if name := names[of.Kind()]; name != "" {
		return map[string]any{"type": name}
	}
	if of.Kind() == reflect.Pointer {
		return schemaOf(of.Elem())
	}
	if of.Kind() == reflect.Slice {
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(of.Elem())} // an empty list can be null
	}
	properties, required := map[string]any{}, []string{}
	for _, field := range reflect.VisibleFields(of) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			continue // The fields of an embedded type are visible, too.
		}
		properties[name] = schemaOf(field.Type)
		if options == "" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// conforms returns why a value does not conform to a schema, or nil.
func conforms(schema map[string]any, value any) error {
	if list := []string{"array", "null"}; value == nil && reflect.DeepEqual(schema["type"], list) {
		return nil
	}
	got := map[reflect.Kind]string{reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number"}[reflect.ValueOf(value).Kind()]
	if want := fmt.Sprint(schema["type"]); !strings.Contains(want, got) && (got != "number" || want != "integer") {
		return fmt.Errorf("%v is %q and not %q", value, got, want)
	}
	if text, is := value.(string); is && schema["format"] != nil {
		_, err := time.Parse(time.RFC3339Nano, text)
		return err
	}
	if list, is := value.([]any); is {
		for _, item := range list {
			if err := conforms(schema["items"].(map[string]any), item); err != nil {
				return err
			}
		}
	}
	object, is := value.(map[string]any)
	if !is {
		return nil
	}
	for _, name := range schema["required"].([]string) {
		if _, has := object[name]; !has {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for name, item := range object {
		property, known := schema["properties"].(map[string]any)[name].(map[string]any)
		if !known {
			return fmt.Errorf("%s is unknown", name)
		}
		if err := conforms(property, item); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// TestOutputsConformToTheirSchemas checks the outputs with few and with all fields.
func TestOutputsConformToTheirSchemas(t *testing.T) {
	one := 1
	now := time.Unix(1, 2)
	real := control.Real{Addr: "192.0.2.21:80", Since: now, Orders: []control.Order{{Kind: "drain", Until: now}}, Traffic: &control.Traffic{Active: 1}}
	for path, outputs := range map[string][]any{
		"docs/schema/status.json": {
			[]control.Snapshot{}, []control.Snapshot{{}}, []control.Snapshot{{Services: []control.Service{{}}}},
			[]control.Snapshot{{Attribute: &control.Attribute{}, Services: []control.Service{{Reals: []control.Real{real}, Fallback: &real}}}},
		},
		"docs/schema/explain.json": {[]control.Explanation{{Services: []control.ExplainedService{{Plan: []string{"ipvsadm"}, Reals: []control.ExplainedServer{{
			Real: real, Kernel: &one, Checks: []control.ExplainedCheck{{Next: now, Last: []control.CheckResult{{Time: now}}}},
		}}}}}}},
		"docs/schema/event.json": {control.Event{Kind: "x"}, control.Event{Time: now, From: &one, To: &one, Lasted: 0.5}},
	} {
		for _, output := range outputs {
			text, err := json.Marshal(output)
			if err != nil {
				t.Fatal(err)
			}
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				t.Fatal(err)
			}
			if err := conforms(schemaOf(schemas[path]), value); err != nil {
				t.Errorf("%s: %v\n%s", path, err, text)
			}
		}
	}
	for _, wrong := range []any{"x", []any{map[string]any{"id": 7.0}}, []any{map[string]any{}}} {
		if conforms(schemaOf(schemas["docs/schema/status.json"]), wrong) == nil {
			t.Errorf("%v conforms", wrong)
		}
	}
	if !slices.Contains(schemaOf(schemas["docs/schema/event.json"])["required"].([]string), "kind") {
		t.Error("an event needs no kind")
	}
}
