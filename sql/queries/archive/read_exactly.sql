-- For this transaction: text is read with the same settings with which it was archived.
SELECT set_config('datestyle', 'ISO', true),
       set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true),
       set_config('bytea_output', 'hex', true),
       set_config('xmloption', 'content', true),
       set_config('lc_monetary', 'C', true)
