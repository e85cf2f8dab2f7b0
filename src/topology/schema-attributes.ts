/** The part of the schema that describes extra attributes. */
import { Errno } from '../abi/errno.js';
import { define, flag, integer, object, oneOf, type Schema, text } from './schema-parts.js';

const path = text(
  'up to four names with / between them, like nvidia/current_vgpu_type',
  '^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}$',
);
const line: Schema = { type: 'string', pattern: '^[^\\n]*$', description: 'one line' };
const id: Schema = {
  type: ['string', 'integer'],
  pattern: '^[^\\n]+$',
  minimum: 0,
  description: 'an id: text, or a number from 0',
};
const errno = oneOf(...Object.keys(Errno));
const many = integer('a number from 1', 1, 2 ** 31 - 1);

const option: Schema = {
  ...object('an option', { id, name: line, cost: many, most: many }),
  required: ['id'],
};

const choice: Schema = {
  ...object('one of several options', {
    options: { type: 'array', items: option, minItems: 1, description: 'a list of options' },
    none: id,
    start: id,
    capacity: many,
    mixed: oneOf('any', 'same-cost', 'same-option'),
    switchable: flag,
    needed: errno,
    errors: object('with what it refuses', { unknown: errno, mixed: errno, full: errno }),
  }),
  required: ['options'],
};

const list: Schema = {
  ...object('the options of a choice', {
    of: path,
    which: oneOf('creatable', 'all'),
    header: line,
    line: text(
      'one line with {id}, {name}, {cost}, {left}',
      '^([^\\n{}]|\\{(id|name|cost|left)(:[0-9]{1,3})?\\})*$',
    ),
  }),
  required: ['of'],
};

const action = object('what happens then', {
  set: path,
  to: { ...id, pattern: '^[^\\n]*$', description: 'what to set: text, or a number from 0' },
  add: path,
  by: integer('a number', -(2 ** 31), 2 ** 31 - 1),
  clear: path,
  show: path,
  hide: path,
  uevent: oneOf('add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind'),
  variables: {
    type: 'array',
    items: text('KEY=VALUE', '^[A-Za-z0-9_]+=[^\\n]*$'),
    description: 'a list of KEY=VALUE',
  },
});

const attribute: Schema = {
  ...object('an attribute', {
    path,
    driver: text('the name of a driver'),
    hidden: flag,
    value: {
      type: ['string', 'array'],
      pattern: '^[^\\n]*$',
      items: line,
      description: 'a line, or a list of lines',
    },
    counter: integer('a number from 0', 0, 2 ** 31 - 1),
    counts: oneOf('opens'),
    choice,
    list,
    accepts: text('a regular expression'),
    closed_only: flag,
    notify: flag,
    on_write: { type: 'array', items: action, description: 'a list of actions' },
  }),
  required: ['path'],
};

export const attributes = define('attributes', {
  type: 'array',
  items: attribute,
  description: 'a list of attributes',
});
