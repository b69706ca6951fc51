import DOMPurify from "dompurify";
import hljs from "highlight.js/lib/common";
import MarkdownIt from "markdown-it";

/** What an answer may consist of. No images: nothing is ever loaded from anywhere. */
const allowedTags = [
  ...["p", "br", "hr", "blockquote", "pre", "code", "span", "em", "strong", "s", "a"],
  ...["ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6"],
  ...["table", "thead", "tbody", "tr", "th", "td"],
];

const markdown = new MarkdownIt({ html: false, linkify: false, highlight });

/** Characters; colours in more would make the page stutter while it streams in. */
const longestHighlighted = 30_000;

function highlight(code: string, language: string): string {
  if (code.length > longestHighlighted || !hljs.getLanguage(language)) return "";
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

/**
 * Markdown of a model as DOM that is safe to insert. Raw HTML in it is shown as text, and links lead to web pages only:
 * VS Code opens them in the browser.
 */
export function renderMarkdown(text: string): DocumentFragment {
  return DOMPurify.sanitize(markdown.render(text), {
    ALLOWED_TAGS: allowedTags,
    ALLOWED_ATTR: ["href", "class", "start"],
    ALLOWED_URI_REGEXP: /^https?:/i,
    RETURN_DOM_FRAGMENT: true,
  });
}
