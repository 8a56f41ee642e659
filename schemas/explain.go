// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

var english = message.NewPrinter(language.English)

// explain turns the tree of a failed validation into sentences. Of
// alternatives that all failed it says what they were for, not how each
// failed.
func explain(e *jsonschema.ValidationError, found []Problem) []Problem {
	add := func(what, fix string) {
		found = append(found, Problem{pointer(e.InstanceLocation), what, fix})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, f := range k.Missing {
			add(f+" is missing", "add it")
		}
	case *kind.AdditionalProperties:
		for _, f := range k.Properties {
			add(fmt.Sprintf("field %q is unknown", f), "check its spelling or leave it out")
		}
	case *kind.Type:
		add("is "+k.Got, "write "+article(k.Want))
	case *kind.Enum:
		add(fmt.Sprintf("%v is not possible", k.Got), "use one of "+list(k.Want))
	case *kind.Const:
		add(fmt.Sprintf("%v is not possible", k.Got), fmt.Sprintf("use %v", k.Want))
	case *kind.Minimum:
		add(k.Got.RatString()+" is too low", "use "+k.Want.RatString()+" or more")
	case *kind.Maximum:
		add(k.Got.RatString()+" is too high", "use "+k.Want.RatString()+" or less")
	case *kind.MinItems:
		add(fmt.Sprintf("has %d items", k.Got), fmt.Sprintf("give at least %d", k.Want))
	case *kind.MaxItems:
		add(fmt.Sprintf("has %d items", k.Got), fmt.Sprintf("give at most %d", k.Want))
	case *kind.MinLength:
		add(fmt.Sprintf("has %d characters", k.Got), fmt.Sprintf("write at least %d", k.Want))
	case *kind.MaxLength:
		add(fmt.Sprintf("has %d characters", k.Got), fmt.Sprintf("write at most %d", k.Want))
	case *kind.Pattern:
		add(fmt.Sprintf("%q has the wrong shape", shorten(k.Got)), "match "+k.Want)
	case *kind.Format:
		add(fmt.Sprintf("%q is no %s", shorten(fmt.Sprint(k.Got)), k.Want), "write RFC 3339, as in 2026-03-02T18:04:05Z")
	case *kind.ContentEncoding:
		add("is not "+k.Want, "encode the bytes as "+k.Want)
	case *kind.FalseSchema:
		add("does not belong here", "leave it out: it contradicts the other fields (see the description)")
	case *kind.Not:
		add("is a value that the description excludes", "read the description of the field")
	case *kind.OneOf, *kind.AnyOf:
		add("fits none of the possible forms", "read the description: some fields go only together")
	case *kind.Contains:
		add("misses an item that the description asks for", "add it")
	default:
		if len(e.Causes) == 0 {
			add(e.ErrorKind.LocalizedString(english), "read the description of the field")
		}
		for _, c := range e.Causes {
			found = explain(c, found)
		}
	}
	return found
}

func article(types []string) string {
	s := strings.Join(types, " or ")
	if strings.ContainsAny(s[:1], "aeiou") {
		return "an " + s
	}
	return "a " + s
}

func list(vs []any) string {
	var b strings.Builder
	for i, v := range vs {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v)
	}
	return b.String()
}

func shorten(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
